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

/** Before what comes after it: a proxy may be refused, too, and refuse with a status. */
const proxyRemedy: Remedies[number] = [
  /\bthe proxy\b|by proxy/,
  'check HTTPS_PROXY and HTTP_PROXY, and that the proxy lets connections to this host and port pass',
];

/** Codes of the system, before words: a host's name may have any word in it. The first that fits. */
const reachRemedies: Remedies = [
  [
    /\b(?:ENOTFOUND|EAI_AGAIN)\b|getaddrinfo/,
    'its name is not known here: check the DNS of this host or container, and the address in the Edge key',
  ],
  [/\bENOENT\b/, 'a certificate file is missing: check MTLS_SSL_CERT, MTLS_SSL_KEY and MTLS_SSL_CA'],
  [
    /\bECONNREFUSED\b/,
    'nothing listens there: is the server up, and is the port of the Edge key the published one?',
  ],
  [
    /\b(?:ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)\b|no answer in|not open after|was silent for/,
    'nobody answers: a firewall on the way drops it, or the address in the Edge key is reachable from elsewhere only',
  ],
];

/** In the words of Node and OpenSSL, none of which a host's name can have. Before a proxy's: it is what TLS passes. */
const tlsRemedy = (trust: string): Remedies[number] => [
  /(?:issuer|first|self-signed) certificate|certificate (?:has|is|chain|signature)|certificate's altnames|\bEPROTO\b|SSL routines|before secure TLS/,
  `TLS fails: ${trust}, check the clock of this host, or whether the port speaks TLS at all`,
];

const cutRemedy: Remedies[number] = [
  /\bECONNRESET\b|socket hang up|closed/,
  'it is cut on the way: does a reverse proxy or firewall close long connections?',
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
  tlsRemedy("name the CA with MTLS_SSL_CA, or add it to the system's (SSL_CERT_FILE)"),
  proxyRemedy,
  ...reachRemedies,
  cutRemedy,
];
const pollAdvice = 'try the address of the Edge key from this host, with curl';

const tunnelRemedies: Remedies = [
  tlsRemedy("add the CA to the system's, with SSL_CERT_FILE in a container (MTLS_SSL_CA is for polls alone)"),
  proxyRemedy,
  ...reachRemedies,
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
    /Unexpected server response|not SSH/,
    'no tunnel server answers there: publish its port (8000), and let the proxy before it pass websockets',
  ],
  cutRemedy,
];
const tunnelAdvice = 'try the tunnel address of the Edge key from this host';

function remedyOf(reason: string, remedies: Remedies, otherwise: string): string {
  return remedies.find(([words]) => words.test(reason))?.[1] ?? otherwise;
}
