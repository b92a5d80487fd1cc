// The containers and volumes of a run, made through the agent. The removal is owed before the first request leaves, and
// waits for that one's answer: what a node makes late is removed as well.

import type { RawAnswer, RawRequest } from '../../support/raw-http.ts';
import type { Ledger } from './ledger.ts';

export type Item = Readonly<Record<string, unknown>>;
/** A signed request on a connection of its own. */
export type Ask = (request: RawRequest) => Promise<RawAnswer>;

export const target = 'X-PortainerAgent-Target';

export interface MadeContainer extends AsyncDisposable {
  readonly id: string;
  readonly name: string;
}

export interface ContainerPlan {
  readonly name: string;
  /** Empty where the agent stands alone. */
  readonly node: string;
  /** A volume that comes with it and goes with it. */
  readonly volume?: string;
  /** The body of the create. */
  readonly options: Item;
}

/** Headers that lead a request to that node; none where it is empty. */
export function steer(node: string): Readonly<Record<string, string>> {
  return node === '' ? {} : { [target]: node };
}

/** Makes it, and starts it. Disposing removes it. */
export async function makeContainer(ask: Ask, ledger: Ledger, plan: ContainerPlan): Promise<MadeContainer> {
  const { name, node, volume, options } = plan;
  const answered = Promise.withResolvers<void>();
  const debt = ledger.owe(async () => {
    await answered.promise;
    await remove(ask, node, `/containers/${name}`);
    if (volume !== undefined) await remove(ask, node, `/volumes/${volume}`);
  });
  let id: string;
  try {
    ({ Id: id } = (await post(ask, `/containers/create?name=${name}`, node, options)) as { Id: string });
  } finally {
    answered.resolve();
  }
  await post(ask, `/containers/${id}/start`, node, {});
  return { id, name, [Symbol.asyncDispose]: () => debt[Symbol.asyncDispose]() };
}

export async function post(ask: Ask, path: string, node: string, body: unknown): Promise<Item> {
  const answer = await ask({
    method: 'POST',
    path,
    headers: { 'Content-Type': 'application/json', ...steer(node) },
    body: JSON.stringify(body),
  });
  const text = answer.body.toString();
  if (answer.status >= 300) throw new Error(`POST ${path}: ${answer.status} ${text}`);
  return text.startsWith('{') ? JSON.parse(text) : {};
}

async function remove(ask: Ask, node: string, path: string): Promise<void> {
  const where = `${path}${node === '' ? '' : ` on ${node}`}`;
  let answer: RawAnswer;
  try {
    answer = await ask({ method: 'DELETE', path: `${path}?force=1`, headers: steer(node) });
  } catch (error) {
    throw new Error(`${where}: ${String(error)}`, { cause: error });
  }
  if (answer.status !== 204 && answer.status !== 404)
    throw new Error(`${where}: ${answer.status} ${answer.body.toString().trim()}`);
}
