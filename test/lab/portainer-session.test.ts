// A day of an unmodified Portainer server, request by request (server-expectations 3 to 8): it adds the environment, takes
// a snapshot, serves its UI, deploys a stack, opens a console, and browses a volume. It talks to the agent of a worker.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import {
  type Bench,
  type Box,
  createBench,
  type Item,
  itemsOf,
  managerOperation,
  messageOf,
  nodeOf,
  steer,
} from '../conformance/suite/bench.ts';
import { deployedStack, type StackRun } from '../conformance/suite/portainer-cli.ts';
import { tarHead, tarTail } from '../conformance/suite/tar.ts';
import { uploadForm } from '../conformance/suite/upload-form.ts';
import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/lab/command.ts';
import { busyboxImage } from '../support/lab/images.ts';
import { type RawAnswer, type RawRequest, requestRaw } from '../support/raw-http.ts';

const wholeWithinMs = 40_000;
/** What the server's Docker SDK asks for at most; the UI puts the other in front of everything. */
const sdkNewest = 1.45;
const ui = '/v1.41';
const json = { 'Content-Type': 'application/json' };

describe('a Portainer server', function () {
  this.timeout(180_000);
  let agents: AgentLab;
  let bench: Bench;
  let far: Box;
  let stack: StackRun | undefined;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    bench = await createBench({
      address: { kind: 'tls', host: agents.node(2).address, port: 9001 },
      signer: agents.signer,
      image: busyboxImage,
      long: false,
      abilities: { docker: async (args) => (await runCommand(['docker', ...args])).stdout },
    });
    far = bench.box(agents.node(3).name);
  });

  after(async () => {
    await stack?.[Symbol.asyncDispose]();
    await bench?.[Symbol.asyncDispose]();
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  it('adds the environment: two pings without a signature, then a signed HEAD /_ping', async () => {
    for (let asked = 0; asked < 2; asked += 1) {
      const { status, headers } = await requestRaw(bench.address, { path: '/ping' });
      assert.equal(status, 204);
      assert.match(headers.get('portainer-agent') ?? '', /^\d+\.\d+\.\d+$/);
      assert.equal(headers.get('portainer-agent-platform'), '1');
    }
    const { status, headers } = await bench.ask({ method: 'HEAD', path: '/_ping' });
    assert.equal(status, 200);
    for (const name of ['api-version', 'ostype', 'docker-experimental']) assert.ok(headers.has(name), name);
  });

  it('takes a snapshot in the order of the server, and counts what the engines have', async () => {
    const ping = await bench.ask({ method: 'HEAD', path: '/_ping' });
    const version = `/v${Math.min(Number(ping.headers.get('api-version')), sdkNewest)}`;
    const info = (await bench.json(`${version}/info`)) as Item & { readonly Swarm: Item };
    assert.equal(info.Swarm.ControlAvailable, true);
    assert.ok(Array.isArray(await bench.json(`${version}/services`)));
    const nodes = itemsOf(await bench.json(`${version}/nodes`));
    assert.equal(nodes.length, 3);
    const containers = itemsOf(await bench.json(`${version}/containers/json?all=1`));
    for (const { id } of bench.boxes) assert.ok(containers.some(({ Id }) => Id === id));
    for (const { Id, State } of containers) {
      if (State !== 'running') continue;
      const { status, body } = await bench.ask({ path: `${version}/containers/${String(Id)}/json` });
      // The only failure that the server forgives here.
      assert.ok(status === 200 || body.includes('No such container'), `${status} ${body.toString()}`);
    }
    for (const list of ['images/json', 'volumes', 'networks'])
      assert.ok(itemsOf(await bench.json(`${version}/${list}`)).length > 0, list);
    const { Components } = (await bench.json(`${version}/version`)) as {
      readonly Components: readonly Item[];
    };
    assert.ok(!Components.some(({ Name }) => /podman/i.test(String(Name))));
  });

  it('opens the environment in the UI, with a version in front of agent routes too', async () => {
    const ping = await requestRaw(bench.address, { path: `${ui}/ping` });
    assert.ok(Number(ping.headers.get('portainer-agent-api-version')) >= 2);
    await bench.json(`${ui}/version`);
    const { Swarm } = (await bench.json(`${ui}/info`)) as { readonly Swarm: Item };
    assert.ok(Swarm.NodeID !== '' && Swarm.ControlAvailable === true);
    const listed = itemsOf(await bench.json(`${ui}/v2/agents`));
    assert.deepEqual(
      listed.map(({ NodeName }) => NodeName).toSorted(),
      agents.nodes.map(({ name }) => name).toSorted(),
    );
  });

  it('lists, and works on an item with the node that the list named', async () => {
    for (const path of ['/containers/json?all=1', '/images/json', '/volumes', '/networks']) {
      const { status, headers, body } = await bench.ask({ path: `${ui}${path}` });
      assert.deepEqual([status, headers.get('content-type')], [200, 'application/json']);
      for (const item of itemsOf(JSON.parse(body.toString()))) {
        assert.ok(nodeOf(item) !== undefined, path);
        assert.ok(item.Id !== undefined || item.Name !== undefined);
      }
    }
    const listed = itemsOf(await bench.json(`${ui}/containers/json`));
    const node = nodeOf(listed.find(({ Id }) => Id === far.id) ?? {}) ?? '';
    assert.equal(node, far.node);
    await bench.json(`${ui}/containers/${far.id}/json`, steer(node));
    const stats = (await bench.json(`${ui}/containers/${far.id}/stats?stream=false`, steer(node))) as Item;
    assert.equal(typeof stats.read, 'string');
    const logs = await bench.ask({
      path: `${ui}/containers/${far.id}/logs?stdout=1&tail=10`,
      headers: steer(node),
    });
    assert.equal(logs.status, 200);
    for (const action of ['stop?t=0', 'start', 'restart?t=0'])
      assert.equal((await send('POST', `/containers/${far.id}/${action}`, node)).status, 204, action);
  });

  it('keeps working with the target of an earlier view on lists and on manager paths', async () => {
    const list = itemsOf(await bench.json(`${ui}/containers/json`, steer(far.node)));
    assert.equal(new Set(list.map(nodeOf)).size, 3);
    const info = (await bench.json(`${ui}/info`, steer(far.node))) as Item & { readonly Swarm: Item };
    assert.equal(info.Swarm.ControlAvailable, true);
  });

  it('makes and removes an overlay network, a secret and a config through a manager', async () => {
    const network = { Name: 'of-the-session', Driver: 'overlay', Attachable: true, CheckDuplicate: true };
    const made = await send('POST', '/networks/create', '', network, { [managerOperation]: '1' });
    assert.equal(made.status, 201, made.body.toString());
    const removed = await send('DELETE', `/networks/${idOf(made)}`, '', undefined, {
      [managerOperation]: '1',
    });
    assert.equal(removed.status, 204);
    for (const kind of ['secrets', 'configs']) {
      const Data = Buffer.from('nobody is told').toString('base64');
      const created = await send('POST', `/${kind}/create`, '', { Name: `session-${kind}`, Data });
      assert.equal(created.status, 201, created.body.toString());
      assert.equal((await send('DELETE', `/${kind}/${idOf(created)}`, '')).status, 204);
    }
  });

  it('builds an image on another node, imports one, and recreates a container there', async () => {
    const file = Buffer.from(`FROM ${busyboxImage}\nLABEL of=session\n`.padEnd(512, '\n'));
    const context = Buffer.concat([tarHead('Dockerfile', file.length), file, tarTail()]);
    const tar = { 'Content-Type': 'application/x-tar' };
    const built = await bench.ask({
      method: 'POST',
      path: `${ui}/build?t=session:built&q=1`,
      headers: { ...steer(far.node), ...tar },
      body: context,
    });
    assert.equal(built.status, 200, built.body.toString());
    await bench.json(`${ui}/images/session:built/json`, steer(far.node));
    assert.equal((await bench.ask({ path: `${ui}/images/session:built/json` })).status, 404);

    const body = { Image: 'session:built', Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
    const made = await send('POST', '/containers/create?name=session', far.node, body);
    const old = idOf(made);
    assert.equal((await send('POST', `/containers/${old}/start`, far.node)).status, 204);
    assert.equal((await send('POST', `/containers/${old}/stop?t=0`, far.node)).status, 204);
    assert.equal((await send('POST', `/containers/${old}/rename?name=session-old`, far.node)).status, 204);
    const remade = await send('POST', '/containers/create?name=session', far.node, body);
    assert.equal((await send('POST', `/containers/${idOf(remade)}/start`, far.node)).status, 204);
    for (const id of [old, idOf(remade)])
      assert.equal((await send('DELETE', `/containers/${id}?force=1`, far.node)).status, 204);
    assert.equal((await send('DELETE', '/images/session:built?force=1', far.node)).status, 200);
  });

  it('deploys a stack with its config.json, shows its tasks, and removes it', async () => {
    stack = await deployedStack(bench);
    const services = itemsOf(await bench.json(`${ui}/services`)) as readonly { readonly Spec: Item }[];
    assert.ok(services.some(({ Spec }) => Spec.Name === `${stack?.name}_web`));
    await eventually(
      async () => {
        const tasks = itemsOf(await bench.json(`${ui}/tasks`)) as readonly { readonly Status: Item }[];
        assert.ok(
          tasks.some(({ Status }) => Status.State === 'running'),
          JSON.stringify(tasks.map(({ Status }) => Status)),
        );
      },
      { withinMs: 40_000, everyMs: 200 },
    );
    assert.match(await stack.cli('stack', 'ls'), new RegExp(stack.name));
    await stack[Symbol.asyncDispose]();
    assert.ok(!(await stack.cli('service', 'ls')).includes(stack.name));
    stack = undefined;
  });

  it('opens a console on another node, and gives it the size of the browser’s window', async () => {
    const id = await bench.exec(far, ['sh']);
    await using console_ = await bench.console(
      `/websocket/exec?endpointId=1&id=${id}&nodeName=${far.node}`,
      far.node,
    );
    const resized = await send('POST', `/exec/${id}/resize?h=41&w=123`, far.node);
    assert.ok(resized.status === 200 || resized.status === 201, `${resized.status}`);
    await console_.send('stty size\n');
    await console_.until('41 123');
    await console_.send('export LANG=C.UTF-8\nexit\n');
    assert.equal(await console_.closed(), 1000);
  });

  it('browses a volume of another node: uploads, lists, reads, renames and deletes', async () => {
    const browse = (
      method: string,
      action: string,
      query: Item,
      extra: Partial<RawRequest> = {},
    ): Promise<RawAnswer> =>
      bench.ask({
        method,
        path: `${ui}/v2/browse/${action}?${new URLSearchParams({ volumeID: far.volume, ...query })}`,
        ...extra,
        headers: { ...steer(far.node), ...extra.headers },
      });
    const { headers, body } = uploadForm({
      folder: '/notes',
      name: 'größe.txt',
      bytes: Buffer.from('12345'),
    });
    assert.equal((await browse('POST', 'put', {}, { headers, body })).status, 204);
    const listed = JSON.parse((await browse('GET', 'ls', { path: '/notes' })).body.toString());
    assert.deepEqual(
      listed.map(({ Name, Size, Dir }: Item) => [Name, Size, Dir]),
      [['größe.txt', 5, false]],
    );
    assert.equal((await browse('GET', 'get', { path: '/notes/größe.txt' })).body.toString(), '12345');
    const rename = JSON.stringify({ CurrentFilePath: '/notes/größe.txt', NewFilePath: '/notes/b.txt' });
    assert.equal((await browse('PUT', 'rename', {}, { headers: json, body: rename })).status, 204);
    assert.equal((await browse('DELETE', 'delete', { path: '/notes/b.txt' })).status, 204);
    assert.equal((await browse('DELETE', 'delete', { path: '/notes' })).status, 204);
    const gone = await browse('GET', 'get', { path: '/notes/b.txt' });
    assert.deepEqual([gone.status, messageOf(gone)], [500, 'Unable to open file']);
  });

  it('shows a node: its devices, its disks and its host files', async () => {
    const info = (await bench.json(`${ui}/v2/host/info`, steer(far.node))) as Item;
    assert.deepEqual(Object.keys(info).toSorted(), ['PCIDevices', 'PhysicalDisks']);
    const listed = await bench.ask({
      path: `${ui}/v2/browse/ls?path=%2Fhost%2Fetc`,
      headers: steer(far.node),
    });
    assert.equal(listed.status, 200);
    assert.ok(listed.body.includes('"passwd"'));
  });

  function send(
    method: string,
    path: string,
    node: string,
    body?: unknown,
    headers: RawRequest['headers'] = {},
  ): Promise<RawAnswer> {
    return bench.ask({
      method,
      path: `${ui}${path}`,
      headers: { ...json, ...steer(node), ...headers },
      ...(method === 'POST' && { body: body === undefined ? '' : JSON.stringify(body) }),
    });
  }
});

function idOf({ status, body }: RawAnswer): string {
  assert.ok(status < 300, body.toString());
  const made = JSON.parse(body.toString()) as Item;
  return String(made.Id ?? made.ID);
}
