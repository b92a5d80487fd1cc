// Finds the node that can answer `GET /images/get?names=a&names=b`: one archive comes from one engine, so it must have
// all of the images. Where none has, the answer says who has what.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { type Answer, dockerError } from '../../exchange.ts';
import { type MissingNode, missingHeaders } from '../missing-header.ts';
import { isAskable } from '../owner/name.ts';
import type { Ask } from './ask.ts';
import type { EndpointCall } from './call.ts';
import { onlySelf, preferNear } from './member-choice.ts';
import { questionOf } from './question.ts';
import { hole, missingNodeOf } from './settle.ts';

export interface ImagesGetNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

export type ImagesGetRoute =
  | { readonly kind: 'route'; readonly member: Member }
  | { readonly kind: 'answer'; readonly answer: Answer };

export type FindImages = (names: readonly string[], call: EndpointCall) => Promise<ImagesGetRoute>;

/** Different names that are looked for; each is a question to every member. */
export const maxImageNames: number = 256;
/** Names looked for at the same time. */
const parallelNames = 8;

export function createFindImages({ ask, now }: ImagesGetNeeds): FindImages {
  /** Who has each name, among the members of a view. */
  const findHolders = async (names: readonly string[], call: EndpointCall, view: ClusterView) => {
    const found: Holders[] = [];
    for (let at = 0; at < names.length; at += parallelNames) {
      const batch = names.slice(at, at + parallelNames);
      found.push(...(await Promise.all(batch.map((name) => holdersOf(name, { ...call, view })))));
    }
    return found;
  };

  const holdersOf = async (name: string, call: EndpointCall): Promise<Holders> => {
    if (!isAskable(name)) return { name, members: [], unasked: [] };
    const path = name.split('/').map(encodeURIComponent).join('/');
    const question = { pace: 'list', method: 'GET', rawPath: `/images/${path}/json`, query: '' } as const;
    const outcomes = await ask(call, questionOf(call, question));
    const members: Member[] = [];
    const unasked: MissingNode[] = [];
    for (const found of outcomes) {
      const status = found.outcome.kind === 'answer' ? found.outcome.part.status : undefined;
      if (status === 200 && found.member !== undefined) members.push(found.member);
      // 400 is for a name that no image can have.
      else if (status !== 404 && status !== 400) unasked.push(missingNodeOf(found, now()));
    }
    return { name, members, unasked };
  };

  return async (given, call) => {
    const names = [...new Set(given)];
    const { self, members, missing } = call.view;
    // Without names the engine has its own answer.
    if (names.length === 0) return { kind: 'route', member: self };
    if (names.length > maxImageNames) {
      const message = `flotilla: more than ${maxImageNames} names in one request for images`;
      return { kind: 'answer', answer: dockerError(400, message) };
    }
    // Most are saved where they were built or pulled: then nobody else need be asked.
    const here = await findHolders(names, call, onlySelf(call.view));
    if (here.every((holders) => holders.members.length > 0)) return { kind: 'route', member: self };
    const found = await findHolders(names, call, call.view);
    const candidates = members.filter((member) => found.every((holders) => holders.members.includes(member)));
    const [nearest] = preferNear(candidates.map((member) => ({ member })));
    if (nearest !== undefined) return { kind: 'route', member: nearest.member };
    return { kind: 'answer', answer: nobodyHasAll(found, members.length + missing.length, call, now()) };
  };
}

interface Holders {
  readonly name: string;
  readonly members: readonly Member[];
  readonly unasked: readonly MissingNode[];
}

function nobodyHasAll(
  found: readonly Holders[],
  asked: number,
  { strict }: EndpointCall,
  nowMs: number,
): Answer {
  const unasked = [
    ...new Map(found.flatMap((holders) => holders.unasked).map((node) => [node.node, node])).values(),
  ];
  const headers = missingHeaders(asked, unasked, nowMs);
  // Nobody could be asked: then it is not known that there is no such image.
  if (unasked.length >= asked || (strict && unasked.length > 0)) return hole(unasked, headers);
  const holders = found.map(({ name, members }) => ({
    name,
    nodes: members.map(({ record }) => record.nodeName),
  }));
  const answer = dockerError(404, `${wordsOf(holders)}${notAsked(unasked)}`, { holders });
  return { ...answer, headers: [...answer.headers, ...headers] };
}

interface NamedHolders {
  readonly name: string;
  readonly nodes: readonly string[];
}

function wordsOf(holders: readonly NamedHolders[]): string {
  const nowhere = holders.find(({ nodes }) => nodes.length === 0);
  if (nowhere !== undefined) return `No such image: ${nowhere.name}`;
  const shown = holders.slice(0, maxShown).map(({ name, nodes }) => `${name} on ${listOf(nodes)}`);
  const rest = holders.length > maxShown ? ' …' : '';
  return `flotilla: no node has all of these images: ${shown.join('; ')}${rest}`;
}

function notAsked(unasked: readonly MissingNode[]): string {
  if (unasked.length === 0) return '';
  return ` (flotilla: not asked: ${listOf(unasked.map(({ node, reason }) => `${node}, ${reason}`))})`;
}

/** In a message for people; programs read `holders`. */
const maxShown = 10;

function listOf(items: readonly string[]): string {
  const rest = items.length > maxShown ? ' …' : '';
  return `${items.slice(0, maxShown).join(', ')}${rest}`;
}
