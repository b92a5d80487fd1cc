// Makes ROUTES.md, the route table in words for users of the cluster socket.

import type {
  DeadlineClass,
  MergeKind,
  Route,
  Sensitivity,
  StreamClass,
  Where,
} from '../src/proxy/routes/route.ts';
import { type RouteFamily, routeFamilies } from '../src/proxy/routes/table.ts';
import { row } from './markdown.ts';

const streams: Readonly<Record<StreamClass, string>> = {
  short: 'one answer, soon',
  endless: 'lasts as long as somebody reads, writes or waits: a log, an upload, a build',
  hijack: 'the connection becomes a raw byte pipe, in both directions, each of which can be closed alone',
};

const deadlines: Readonly<Record<DeadlineClass, string>> = {
  short: 'a lookup or a small change',
  list: 'a list: as long as the engine has things to list',
  slow: 'work on the disk, on the network or with a registry',
  none: 'the answer may begin whenever it likes',
};

const sensitivities: Readonly<Record<Sensitivity, string>> = {
  open: 'names nothing of yours: what a client needs in order to talk at all',
  read: 'names, states and settings that hold no secrets by design',
  reveals: 'a read that hands out what is inside: environment, files, logs, command lines, layers',
  changes: 'changes what exists or runs, without more power than it had',
  secrets: 'passwords, join tokens, keys, configs',
  'host-root': 'as good as root on the node, or on the whole swarm',
};

export function routesDocument(): string {
  const count = routeFamilies.reduce((sum, { routes }) => sum + routes.length, 0);
  return `# Routes

Made from \`src/proxy/routes/table.ts\` by \`npm run docs\`: every route of the Engine API from 1.24 to 1.56, ${count} of them,
and what the cluster socket does with it. Engines know no other, and answer a route with another method as if it were none.

## Where a request runs

Nothing has to be said: a container, an image, a volume, a network or an exec is found where it is. An image that several nodes
have is read from any of them; in all other cases a name that several nodes have is answered with 409 and the candidates as
\`node/name\`, and a name may be given in that form. The header \`X-PortainerAgent-Target: <node>\` sends any request to that node
instead, and a client that cannot set headers can use the node's own socket. On the compatible listener for Portainer its
own rules hold.

| words | meaning |
| --- | --- |
| all nodes, merged | every node is asked and the answers become one, in the shape that one engine would give; what is missing is said in \`Flotilla-Missing\` |
| all nodes, added up | every node does it for itself, and the reports are added up |
| its node | the node that has it |
| a manager | any healthy manager: this node if it is one |
| this node | the engine beside the socket |

## How it is treated

| stream | meaning |
| --- | --- |
${meanings(streams)}
| deadline | for the head of the answer, never for a body |
| --- | --- |
${meanings(deadlines)}
| sensitivity | what somebody gains who may call it |
| --- | --- |
${meanings(sensitivities)}
Sensitivity is what rules about who may call what are built from. It judges the route, not the request: creating a container
counts as \`host-root\` because it may mount the host.

${routeFamilies.map(familySection).join('\n')}`;
}

function meanings(table: Readonly<Record<string, string>>): string {
  return Object.entries(table)
    .map(([name, meaning]) => row([`\`${name}\``, meaning]))
    .join('');
}

function familySection({ title, routes }: RouteFamily): string {
  const head = '| route | where | stream | deadline | sensitivity |\n| --- | --- | --- | --- | --- |\n';
  return `## ${title}\n\n${head}${routes.map(routeRow).join('')}`;
}

function routeRow({ method, path, where, stream, deadline, sensitivity }: Route): string {
  const shown = path.replaceAll(/\{(\w+)[^}]*\}/g, '{$1}');
  return row([`\`${method} ${shown}\``, whereText(where), stream, deadline, sensitivity]);
}

function whereText(where: Where): string {
  switch (where.kind) {
    case 'local':
      return 'this node';
    case 'manager':
      return 'a manager';
    case 'merge':
      return `all nodes, merged${mergeNotes[where.what] ?? ''}`;
    case 'owner':
      return where.resource === 'network' ? `its node; ${overlays}` : 'its node';
    case 'owner-in-query':
      return `the node of the ${where.resource} in the query (\`${where.param}\`)`;
    case 'owner-in-body':
      return `the node of the ${where.resource} in the body`;
    case 'images-in-query':
      return 'a node that has all images of the query (`names`)';
    case 'create':
      return createTexts[where.what];
    case 'prune':
      return where.what === 'volumes'
        ? 'the target, which must be named; `*` is all nodes'
        : 'all nodes, added up';
  }
}

const overlays = 'for a network of the swarm a manager';

const mergeNotes: Readonly<Partial<Record<MergeKind, string>>> = {
  networks: '; those of the swarm once',
  events: ' as they happen; those of the swarm once',
  ping: ' into the range of versions that all share',
  version: ' into the range of versions that all share',
};

const createTexts: Readonly<Record<'container' | 'volume' | 'network', string>> = {
  container: 'this node, or the one in the label `flotilla.node`',
  volume: 'this node, or the one in the label `flotilla.node`; a cluster volume: a manager',
  network: 'this node, or the one in the label `flotilla.node`; a network of the swarm: a manager',
};
