// Decides what is wrong with Edge mode: no key, polls that fail, a tunnel that does not come up. Pure.
// Reasons come from the network, from libraries and from Portainer as text, so remedies are found by their words.

import type { EdgeState, TunnelState } from '../../edge/edge.ts';
import type { DoctorFacts } from './facts.ts';
import { type DoctorCheck, ok, problem, warning } from './report.ts';

export function checkEdge({ edge }: DoctorFacts): readonly DoctorCheck[] {
  switch (edge?.kind) {
    case undefined:
      return [];
    case 'unassociated':
      return [
        problem(
          'edge',
          null,
          'no Edge key: Portainer is not polled',
          edge.pageOpen
            ? 'give the key on the Edge page (EDGE_SERVER_HOST, EDGE_SERVER_PORT), or set EDGE_KEY'
            : 'set EDGE_KEY, or restart the agent: the Edge page is open for 15 minutes after a start',
        ),
      ];
    case 'resting':
      return [ok('edge', 'the agent on the leader of the Swarm polls')];
    case 'polling':
      return [checkPoll(edge), ...checkTunnel(edge.tunnel)];
  }
}

function checkPoll({
  portainerUrl,
  failure,
  lastGoodMs,
}: Extract<EdgeState, { kind: 'polling' }>): DoctorCheck {
  if (failure !== undefined)
    return problem(
      'edge',
      portainerUrl,
      `poll failed: ${failure}`,
      remedyOf(failure, pollRemedies, pollAdvice),
    );
  if (lastGoodMs === undefined)
    return warning('edge', portainerUrl, 'not polled yet', 'wait for one interval, some 5 s');
  return ok('edge', 'polls work', portainerUrl);
}

function checkTunnel(tunnel: TunnelState): readonly DoctorCheck[] {
  switch (tunnel.kind) {
    case 'closed':
      return [
        ok('tunnel', tunnel.why === 'inactive' ? 'closed after inactivity' : 'not asked for by Portainer'),
      ];
    case 'open':
      return [ok('tunnel', `port ${tunnel.port} of the server is open, ${tunnel.channels} connections`)];
    case 'connecting':
      return [warning('tunnel', null, `connecting, attempt ${tunnel.attempt}`, 'wait some seconds')];
    case 'waiting': {
      const seen = `not open after ${tunnel.attempt} attempts: ${tunnel.reason}`;
      return [problem('tunnel', null, seen, remedyOf(tunnel.reason, tunnelRemedies, tunnelAdvice))];
    }
  }
}

type Remedies = readonly (readonly [words: RegExp, remedy: string])[];

/** Before all else: a proxy's refusal names a status, too. */
const proxyRemedy: Remedies[number] = [
  /\bthe proxy\b|by proxy/,
  'check HTTPS_PROXY and HTTP_PROXY, and that the proxy lets connections to this host and port pass',
];

/** The first that fits. */
const networkRemedies: Remedies = [
  [
    /ENOTFOUND|EAI_AGAIN|getaddrinfo/,
    'its name is not known here: check the DNS of this host or container, and the address in the Edge key',
  ],
  [/ENOENT/, 'a certificate file is missing: check MTLS_SSL_CERT, MTLS_SSL_KEY and MTLS_SSL_CA'],
  [
    /certificate|self-signed|CERT_|ALTNAME|EPROTO|SSL|TLS/i,
    'TLS fails: name the CA with MTLS_SSL_CA, check the clock of this host, or whether the port speaks TLS at all',
  ],
  [
    /ECONNREFUSED/,
    'nothing listens there: is the server up, and is the port of the Edge key the published one?',
  ],
  [
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|no answer in|not open after|silent/,
    'nobody answers: a firewall on the way drops it, or the address in the Edge key is reachable from elsewhere only',
  ],
  [
    /ECONNRESET|socket hang up|closed/,
    'it is cut on the way: does a reverse proxy or firewall close long connections?',
  ],
];

const pollRemedies: Remedies = [
  [
    /^(?:look up.*)?403/,
    'in Portainer: was the environment deleted, is it waiting to be trusted, or is it bound to another EDGE_ID?',
  ],
  [
    /login page|sends the agent elsewhere/,
    'let the agent reach Portainer past the login page or proxy before it',
  ],
  [
    /^(?:look up.*)?(?:404|400)|not JSON|parse poll answer/,
    'it is not Portainer that answers: check the address in the Edge key',
  ],
  [/^5\d\d/, 'look into the log of Portainer and of the proxy before it'],
  ...networkRemedies,
];
const pollAdvice = 'try the address of the Edge key from this host, with curl';

const tunnelRemedies: Remedies = [
  proxyRemedy,
  [
    /fingerprint/,
    'another server answers at the tunnel address, or Portainer made a new host key: check where the address leads, then make a new Edge key',
  ],
  [/credentials|decrypt/, 'check that EDGE_ID is the one that Portainer has bound to the environment'],
  [
    /listen|port \d+ is|already|taken/,
    'the port is taken on the server; Portainer tells another one at the next attempt',
  ],
  [
    /404|Unexpected server response|not SSH|403/,
    'no tunnel server answers there: publish its port (8000), and let the proxy before it pass websockets',
  ],
  ...networkRemedies,
];
const tunnelAdvice = 'try the tunnel address of the Edge key from this host';

function remedyOf(reason: string, remedies: Remedies, otherwise: string): string {
  return remedies.find(([words]) => words.test(reason))?.[1] ?? otherwise;
}
