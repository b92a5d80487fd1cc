// Keeps Docker Compose from taking a project of the same name on another node for its own: it knows its containers by one
// label alone, and changes and removes whatever is listed. Pure. What somebody placed there by name is one project.

import { type Answer, dockerError } from '../../exchange.ts';
import { headerValue } from '../headers.ts';
import { braceOpen, isKey, skipSpace, walkMembers } from '../json-scan.ts';
import type { ScannedItem } from '../scan-items.ts';
import { filterValues, type ListQuery } from './filters.ts';
import type { ListPart } from './lists-merge.ts';
import { nodeLabel } from './placement.ts';

const projectFilter = 'com.docker.compose.project=';
/** Compose 1, and Compose 2 where it does not pass for the docker CLI. */
const composeAgent = /^(?:docker-)?compose\//iu;
/** Labels by which only Compose asks: 1 for all but `down`, and 2 for everything. */
const composeFilter = /^com\.docker\.compose\.(?:oneoff|config-hash)(?:=|$)/u;

/** The project that Compose wants to see the containers of; undefined for whatever else is listed. */
export function composeProjectOf(query: ListQuery, rawHeaders: readonly string[]): string | undefined {
  const labels = filterValues(query, 'label');
  const project = labels.find((label) => label.startsWith(projectFilter))?.slice(projectFilter.length);
  if (project === undefined || project === '') return undefined;
  return labels.some((label) => composeFilter.test(label)) ||
    composeAgent.test(headerValue(rawHeaders, 'user-agent') ?? '')
    ? project
    : undefined;
}

/** 409 for a project of which several nodes have containers; `parts` are what Compose would be listed. */
export function refuseScattered(project: string, parts: readonly ListPart[]): Answer | undefined {
  const nodes = parts
    .filter(({ items }) => items.some((item) => !isPlaced(item)))
    .map(({ member }) => member.record.nodeName);
  const [first, ...more] = nodes;
  if (first === undefined || more.length === 0) return undefined;
  const message =
    `flotilla: several nodes have containers of the Compose project ${project}: ${nodes.join(', ')}; ` +
    `use the socket of one, such as nodes/${first}.sock beside this one, give a target node (header ` +
    'X-PortainerAgent-Target), or choose another project name';
  return dockerError(409, message, { project, nodes });
}

/**
 * Whether it was created with the label that names its node. In a list that label is written behind the engine's own
 * ones, so that then it is there twice.
 */
function isPlaced({ bytes }: ScannedItem): boolean {
  let times = 0;
  walkMembers(bytes, skipSpace(bytes, 0), (keyStart, keyEnd, from) => {
    if (!isKey(bytes, keyStart, keyEnd, labelsKey) || bytes[from] !== braceOpen) return;
    walkMembers(bytes, from, (labelStart, labelEnd) => {
      if (isKey(bytes, labelStart, labelEnd, nodeKey)) times += 1;
    });
  });
  return times > 1;
}

const labelsKey = Buffer.from('"Labels"');
const nodeKey = Buffer.from(JSON.stringify(nodeLabel));
