// The words and the markup of the page. Pure: every value is escaped here, and the page loads nothing, not even a script.

import { createHash } from 'node:crypto';
import type { EdgeKey } from '../edge/edge.ts';
import { escapeHtml, layout, style } from './setup-layout.ts';

export const contentSecurityPolicy: string = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Page {
  readonly nodeName: string;
  /** Wall clock. */
  readonly closesAtMs: number;
}

export interface FormPage extends Page {
  /** Shown in the field. */
  readonly given: string;
  readonly fault: string | undefined;
}

export function formPage({ nodeName, closesAtMs, given, fault }: FormPage): string {
  const alert =
    fault === undefined
      ? ''
      : `<p class="alert" role="alert" id="fault"><strong>Not saved.</strong> ${escapeHtml(fault)}</p>`;
  const described = fault === undefined ? 'hint' : 'fault hint';
  const invalid = fault === undefined ? '' : ' aria-invalid="true"';
  return layout(
    fault === undefined ? 'Connect this agent to Portainer' : 'Not saved: connect this agent to Portainer',
    `<h1>Connect this agent to Portainer</h1>
<p>The agent on <strong>${escapeHtml(nodeName)}</strong> runs in Edge mode and has no Edge key yet.</p>
${alert}
<form method="post" action="/check">
<label for="key">Edge key</label>
<p class="hint" id="hint">In Portainer: Environments, add environment, Edge Agent. Copy the whole key; line breaks do no harm.</p>
<textarea id="key" name="key" rows="6" autocomplete="off" autocapitalize="off" spellcheck="false" autofocus
 aria-describedby="${described}"${invalid}>${escapeHtml(given)}</textarea>
<button type="submit">See what it says</button>
</form>
${closing(closesAtMs)}`,
  );
}

export function reviewPage({ nodeName, closesAtMs, key }: Page & { readonly key: EdgeKey }): string {
  const rows = [
    ['Portainer', key.portainerUrl],
    ['Tunnel server', `${key.tunnelAddress} (${tunnelKind(key)})`],
    ['Its fingerprint', key.fingerprint],
    [
      'Environment',
      key.environmentId === 0 ? 'the one with this agent’s Edge ID' : `number ${key.environmentId}`,
    ],
  ].map(([name = '', value = '']) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`);
  const warning = key.portainerUrl.startsWith('http:')
    ? '<p class="warning"><strong>No TLS.</strong> This Portainer is polled over http: others on the way can read the Edge ID, which also encrypts the tunnel’s password.</p>'
    : '';
  return layout(
    'Is this your Portainer?',
    `<h1 tabindex="-1" autofocus>Is this your Portainer?</h1>
<p>Nothing is saved yet. Whoever runs this server will control <strong>${escapeHtml(nodeName)}</strong> and its containers.</p>
<dl>
${rows.join('\n')}
</dl>
${warning}
<form method="post" action="/init">
<input type="hidden" name="key" value="${escapeHtml(key.text)}">
<button type="submit">Yes, connect to it</button>
<a class="button" href="/">No, use another key</a>
</form>
${closing(closesAtMs)}`,
  );
}

export function donePage({ nodeName, key }: Page & { readonly key: EdgeKey }): string {
  return layout(
    'Connected: the key is saved',
    `<h1 tabindex="-1" autofocus>The key is saved</h1>
<p role="status">Agent setup OK. The agent on <strong>${escapeHtml(nodeName)}</strong> belongs to ${escapeHtml(key.portainerUrl)} now.</p>
<h2>What happens next</h2>
<ol>
<li>The agent polls Portainer every few seconds; nothing has to reach this host. In a Swarm, all agents get the key and the one on the leader polls.</li>
<li>In about ten seconds Portainer shows a heartbeat for ${escapeHtml(environmentOf(key))}. Some servers ask you to trust the device first.</li>
<li>When you open the environment there, the agent makes the tunnel by itself.</li>
</ol>
<p>No heartbeat? Run <code>flotilla doctor</code> on the node, or read the agent’s log: it says why.</p>
<p class="hint">This page is closed now. You can close this window.</p>`,
  );
}

export function stoppedPage({ nodeName }: Pick<Page, 'nodeName'>): string {
  return layout(
    'This agent has a key',
    `<h1>This agent has a key</h1>
<p>The agent on <strong>${escapeHtml(nodeName)}</strong> is associated already, and this page is about to close.</p>
<p>To give it another key, stop the agent, delete <code>agent_edge_key</code> in its data folder, and start it again.</p>`,
  );
}

export function misdirectedPage(): string {
  return layout(
    'Open this page by IP address',
    `<h1>Open this page by IP address</h1>
<p role="alert">This agent does not answer to the name in your address bar: a page of another site could have made it lead here.</p>
<p>Take an IP address of the host in place of the name, as in <code>http://192.0.2.10:8080</code>; on the host itself,
<code>localhost</code> will do. To use a name, start the agent with <code>EDGE_SERVER_HOST</code> set to it.</p>`,
  );
}

function closing(closesAtMs: number): string {
  const time = new Date(closesAtMs);
  return `<p class="hint">This page closes once a key is saved, and at <time datetime="${time.toISOString()}">${time.toISOString().slice(11, 16)} UTC</time> in any case. Restart the agent to open it again.</p>`;
}

function tunnelKind({ tunnelAddress }: EdgeKey): string {
  return tunnelAddress.startsWith('ssh:') ? 'SSH' : 'chisel, in a websocket';
}

function environmentOf({ environmentId }: EdgeKey): string {
  return environmentId === 0 ? 'the environment with this agent’s Edge ID' : `environment ${environmentId}`;
}
