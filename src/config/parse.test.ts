// The configuration as a whole: precedence, defaults, secrets, and faults that are reported all at once.

import assert from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import type { Config } from './config.ts';
import { variables } from './env.ts';
import type { Environment } from './parse.ts';
import { parseConfig, unknownVariables } from './parse.ts';

function noFiles(path: string): string {
  throw new Error(`ENOENT: no such file, open '${path}'`);
}

function parse(env: Environment = {}, argv: readonly string[] = [], readFile = noFiles): Config {
  return parseConfig(env, argv, readFile);
}

/** The fault lines of a configuration that must be refused. */
function faultsOf(env: Environment, argv: readonly string[] = [], readFile = noFiles): readonly string[] {
  try {
    parse(env, argv, readFile);
  } catch (error) {
    assert.ok(error instanceof AgentError);
    assert.equal(error.code, 'config-invalid');
    const [first = '', ...faults] = error.message.split('\n').map((line) => line.trim());
    assert.match(first, new RegExp(`^read the configuration: ${faults.length} faults?$`));
    return faults;
  }
  throw assert.fail('the configuration was accepted');
}

describe('configuration', () => {
  it('has the documented defaults', () => {
    assert.deepEqual(parse(), {
      agent: {
        portainerVersion: '2.23.0',
        dataPath: '/data',
        dockerSocket: '/var/run/docker.sock',
        hostRoot: '/host',
        podman: false,
      },
      api: {
        host: '0.0.0.0',
        port: 9001,
        keepAliveMs: 150_000,
        drainMs: 8_000,
        metrics: { host: '127.0.0.1', port: 9003 },
        controlSocket: '/run/flotilla/control.sock',
      },
      auth: { secret: undefined, associationTimeoutMs: 72 * 3_600_000, dataPath: '/data' },
      browse: { hostBrowse: true },
      cluster: {
        secret: undefined,
        addr: undefined,
        seeds: [],
        advertiseAddr: undefined,
        apiPort: 9001,
        gossipPort: 7946,
        peerPort: 9002,
        probeTimeoutMs: 500,
        probeIntervalMs: 1_000,
      },
      dockerHub: {
        authUrl: 'https://auth.docker.io',
        registryUrl: 'https://registry-1.docker.io',
        proxies: { http: undefined, https: undefined, except: undefined },
      },
      edge: undefined,
      fanOut: { memberTimeoutMs: 2_000, slowMemberTimeoutMs: 60_000 },
      log: { level: 'INFO', mode: 'PRETTY' },
      sockets: { where: 'all', dir: undefined, mode: 0o660, group: undefined, strict: false },
    } satisfies Config);
  });

  it('knows the proxies to Docker Hub in every mode, and starts with those that are none', () => {
    const proxies = (env: Record<string, string>): unknown => parse(env).dockerHub.proxies;
    const given = { HTTPS_PROXY: 'proxy.example.com:3128', HTTP_PROXY: 'ftp://none', NO_PROXY: 'a,b' };
    assert.deepEqual(proxies(given), {
      http: undefined,
      https: 'http://proxy.example.com:3128',
      except: 'a,b',
    });
  });

  it('switches host browsing off by either variable', () => {
    const hostBrowse = (env: Record<string, string>): boolean => parse(env).browse.hostBrowse;
    assert.equal(hostBrowse({ FLOTILLA_HOST_BROWSE: 'off' }), false);
    assert.equal(hostBrowse({ CAP_HOST_MANAGEMENT: '0' }), false);
    assert.equal(hostBrowse({ CAP_HOST_MANAGEMENT: '1', FLOTILLA_HOST_BROWSE: 'off' }), false);
    assert.equal(hostBrowse({ CAP_HOST_MANAGEMENT: '0', FLOTILLA_HOST_BROWSE: 'on' }), false);
    assert.equal(hostBrowse({ CAP_HOST_MANAGEMENT: '1', FLOTILLA_HOST_BROWSE: 'on' }), true);
    assert.equal(hostBrowse({ CAP_HOST_MANAGEMENT: '' }), true);
    assert.equal(faultsOf({ FLOTILLA_HOST_BROWSE: 'no', CAP_HOST_MANAGEMENT: 'never' }).length, 2);
  });

  it('prefers the flag, then the variable that is not empty, then the default', () => {
    assert.equal(parse({ AGENT_PORT: '1000' }, ['--port', '2000']).api.port, 2000);
    assert.equal(parse({ AGENT_PORT: '1000' }, ['--port=2000']).api.port, 2000);
    assert.equal(parse({ AGENT_PORT: '1000' }).api.port, 1000);
    assert.equal(parse({ AGENT_PORT: '' }).api.port, 9001);
  });

  it('reports all faults at once, each with its source, its value and what is accepted', () => {
    assert.deepEqual(
      faultsOf({ AGENT_PORT: 'x', LOG_LEVEL: 'info', EDGE_TUNNEL: 'yes' }, ['--host', 'here', '--prot', '1']),
      [
        '--prot: no such flag; see flotilla agent --help',
        '--host="here": expected a literal IPv4 or IPv6 address',
        'AGENT_PORT="x": expected an integer from 0 to 65535',
        'LOG_LEVEL="info": expected one of ERROR, WARN, INFO, DEBUG',
        'EDGE_TUNNEL="yes": expected true or false (also 1, t, T, TRUE, True, 0, f, F, FALSE, False)',
      ],
    );
  });

  it('checks variables of Edge mode outside it too, and ignores those out of scope', () => {
    assert.deepEqual(faultsOf({ UPDATE_ID: 'x' }), ['UPDATE_ID="x": expected an integer']);
    parse({ AWS_REGION: 'anything', KUBERNETES_SERVICE_HOST: '10.0.0.1', DOCKER_HOST: 'tcp://x' }, [
      '--aws-region',
      'eu',
      '--aws-key=k',
    ]);
  });

  it('takes bool flags without a value, and refuses one', () => {
    assert.deepEqual(faultsOf({}, ['--edge']), [
      'EDGE_ID=(redacted): expected an identifier that is not empty or white space, because EDGE is set',
    ]);
    assert.deepEqual(faultsOf({}, ['--edge=true']), ['--edge: takes no value']);
    assert.equal(parse({ EDGE: '1' }, ['--no-edge']).edge, undefined);
    assert.deepEqual(faultsOf({}, ['--no-port']), ['--no-port: no such flag; see flotilla agent --help']);
    assert.deepEqual(faultsOf({ EDGE_ASYNC: 'true' }), ['EDGE_ASYNC="true": needs EDGE']);
  });

  it('refuses stray words, missing values and repetitions', () => {
    assert.deepEqual(faultsOf({}, ['start', '--port', '1', '--port', '2', '--data']), [
      '"start": expected a flag, such as --port 9001',
      '--port: given more than once',
      '--data: needs a value',
    ]);
  });

  it('takes the cluster address with or without a port', () => {
    assert.equal(parse({ AGENT_CLUSTER_ADDR: 'tasks.agent:9001' }).cluster.addr, 'tasks.agent');
    assert.equal(parse({ AGENT_CLUSTER_ADDR: 'tasks.agent' }).cluster.addr, 'tasks.agent');
    assert.equal(parse({ AGENT_CLUSTER_ADDR: '[fd00::1]:7946' }).cluster.addr, 'fd00::1');
  });

  it('refuses addresses and ports that cannot be told to others', () => {
    for (const address of ['0.0.0.0', '::', '0:0::0']) {
      const [fault = '', ...more] = faultsOf({ FLOTILLA_ADVERTISE_ADDR: address });
      assert.deepEqual(more, []);
      assert.match(fault, /^FLOTILLA_ADVERTISE_ADDR=".*": expected the address that others reach/);
    }
    assert.deepEqual(faultsOf({ FLOTILLA_GOSSIP_PORT: '0' }), [
      'FLOTILLA_GOSSIP_PORT="0": expected an integer from 1 to 65535',
    ]);
  });

  it('gives seeds the gossip port unless they name another', () => {
    const { seeds } = parse({
      FLOTILLA_SEEDS: 'a,b:1,[FD00:0::1]:2,FD00::2',
      FLOTILLA_GOSSIP_PORT: '7000',
    }).cluster;
    assert.deepEqual(seeds, [
      { host: 'a', port: 7000 },
      { host: 'b', port: 1 },
      { host: 'fd00::1', port: 2 },
      { host: 'fd00::2', port: 7000 },
    ]);
  });

  it('turns the metrics listener off, and Podman on by exactly 1', () => {
    assert.equal(parse({ FLOTILLA_METRICS_ADDR: 'off' }).api.metrics, undefined);
    assert.equal(parse({ PODMAN: '1' }).agent.podman, true);
    assert.equal(parse({ PODMAN: 'true' }).agent.podman, false);
  });

  it('refuses two listeners on one port, but not two on any free port', () => {
    assert.deepEqual(faultsOf({ AGENT_PORT: '9002' }), [
      'FLOTILLA_PEER_PORT="9002": expected another port than that of AGENT_PORT',
    ]);
    assert.equal(parse({ AGENT_PORT: '0', FLOTILLA_PEER_PORT: '0' }).cluster.peerPort, 0);
  });
});

describe('sockets of the configuration', () => {
  it('takes modes in octal, and groups by name or number', () => {
    const { sockets } = parse({
      FLOTILLA_SOCKETS: 'managers',
      FLOTILLA_SOCKET_DIR: '/srv/sockets',
      FLOTILLA_SOCKET_MODE: '600',
      FLOTILLA_SOCKET_GROUP: 'docker',
      FLOTILLA_STRICT: 'true',
    });
    assert.deepEqual(sockets, {
      where: 'managers',
      dir: '/srv/sockets',
      mode: 0o600,
      group: 'docker',
      strict: true,
    } satisfies Config['sockets']);
    assert.equal(parse({ FLOTILLA_SOCKET_GROUP: '0' }).sockets.group, 0);
  });

  it('refuses folders in which no socket has room, or that depend on where the agent was started', () => {
    const long = `/${'x'.repeat(70)}`;
    for (const dir of ['run', './run', long]) {
      assert.deepEqual(faultsOf({ FLOTILLA_SOCKET_DIR: dir }), [
        `FLOTILLA_SOCKET_DIR=${JSON.stringify(dir)}: expected an absolute path of at most 70 bytes`,
      ]);
    }
    assert.equal(parse({ FLOTILLA_SOCKET_DIR: long.slice(1, 71).replace('x', '/') }).sockets.dir?.length, 70);
  });
});

describe('secrets of the configuration', () => {
  it('lets AGENT_SECRET double as the cluster secret only when it stands alone', () => {
    assert.equal(parse({ AGENT_SECRET: 'a' }).cluster.secret, 'a');
    const both = parse({ AGENT_SECRET: 'a', FLOTILLA_CLUSTER_SECRET: 'c' });
    assert.deepEqual([both.auth.secret, both.cluster.secret], ['a', 'c']);
    const cluster = parse({ FLOTILLA_CLUSTER_SECRET: 'c' });
    assert.deepEqual([cluster.auth.secret, cluster.cluster.secret], [undefined, 'c']);
  });

  it('reads a secret from its file without the final newline, and keeps inner spaces', () => {
    const files = (path: string): string => (path === '/run/secrets/s' ? ' two words \n' : noFiles(path));
    assert.equal(
      parse({ FLOTILLA_CLUSTER_SECRET_FILE: '/run/secrets/s' }, [], files).cluster.secret,
      ' two words ',
    );
    assert.equal(parse({ AGENT_SECRET_FILE: '/run/secrets/s' }, [], files).auth.secret, ' two words ');
  });

  it('counts an empty variable as unset, as every other', () => {
    const { auth, cluster } = parse({ AGENT_SECRET: '', FLOTILLA_CLUSTER_SECRET: '' });
    assert.deepEqual([auth.secret, cluster.secret], [undefined, undefined]);
  });

  it('refuses white space, an empty flag, an empty file, a missing file, and two sources', () => {
    const blank = 'expected a secret that is not empty or white space';
    assert.deepEqual(faultsOf({ AGENT_SECRET: ' \n' }), [`AGENT_SECRET=(redacted): ${blank}`]);
    assert.deepEqual(faultsOf({}, ['--cluster-secret=']), [`--cluster-secret=(redacted): ${blank}`]);
    assert.deepEqual(
      faultsOf({ AGENT_SECRET_FILE: '/s' }, [], () => ' \n'),
      ['AGENT_SECRET_FILE="/s": expected a file that is not empty or white space'],
    );
    assert.deepEqual(faultsOf({ FLOTILLA_CLUSTER_SECRET_FILE: '/s' }), [
      `FLOTILLA_CLUSTER_SECRET_FILE="/s": expected a readable file: ENOENT: no such file, open '/s'`,
    ]);
    assert.deepEqual(faultsOf({ AGENT_SECRET: 'hidden', AGENT_SECRET_FILE: '/s' }), [
      'AGENT_SECRET_FILE="/s": expected only one of AGENT_SECRET and AGENT_SECRET_FILE',
    ]);
  });

  it('keeps values that are not secret on one bounded line', () => {
    const [fault = ''] = faultsOf({ AGENT_PORT: `1\r\n\u001b[31m${'x'.repeat(5_000)}` });
    assert.ok(fault.length < 250, fault);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
    assert.doesNotMatch(fault, /[\u0000-\u001f]/);
  });
});

describe('table of variables', () => {
  it('lists every name and flag once', () => {
    const names = variables.flatMap(({ name, flags }) => [name, ...flags.map((flag) => `--${flag}`)]);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
  });

  it('has defaults that its own types accept', () => {
    for (const { name, default: text, use } of variables) {
      // Given as a variable, so that a default that is not accepted is a fault; empty would count as unset.
      if (text !== '' && use !== 'ignored' && name !== 'EDGE') parse({ [name]: text });
    }
  });

  it('finds typing mistakes in our own prefix', () => {
    assert.deepEqual(
      unknownVariables({
        FLOTILLA_CLUSTER_SECERT: 'x',
        FLOTILLA_SEEDS: '',
        FLOTILLA_SOCKETS: 'all',
        OTHER: '',
      }),
      ['FLOTILLA_CLUSTER_SECERT'],
    );
  });
});
