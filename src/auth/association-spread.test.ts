// The association's way between agents over stores on disk: at a change, to who appears, and again after a lost message.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from '../../test/support/eventually.ts';
import { silentLogger } from '../log.ts';
import { answerExchange, createSpread, type SpreadPeer } from './association-spread.ts';
import { openAssociationStore } from './association-store.ts';
import type { AssociationStore } from './auth.ts';

const key = 'ab'.repeat(65);

describe('association spread', () => {
  let folder: string;
  let ours: AssociationStore;
  let theirs: AssociationStore;
  let lostMessages: number;
  let asked: number;
  let appeared: (peers: readonly SpreadPeer[]) => void;
  let spread: ReturnType<typeof createSpread>;

  const peer: SpreadPeer = {
    nodeName: 'node-2',
    exchange: (body) => {
      asked += 1;
      if (asked <= lostMessages) return Promise.reject(new Error('lost'));
      return Promise.resolve(answerExchange(theirs, body));
    },
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'association-spread-'));
    const open = (nodeName: string): Promise<AssociationStore> =>
      openAssociationStore(
        { log: silentLogger, nowMs: Date.now, nodeName: () => nodeName },
        path.join(folder, nodeName),
      );
    [ours, theirs] = [await open('node-1'), await open('node-2')];
    lostMessages = 0;
    asked = 0;
    spread = createSpread({
      store: ours,
      peers: () => [peer],
      onAppeared: (listener) => {
        appeared = listener;
        return () => undefined;
      },
      random: Math.random,
      log: silentLogger,
    });
    await spread.start();
  });

  afterEach(async () => {
    await spread.stop();
    await Promise.all([ours.saved(), theirs.saved()]);
    await rm(folder, { recursive: true, force: true });
  });

  it('brings a change to all, and fetches it from who appears', async () => {
    ours.associate(key);
    await eventually(() => theirs.current().key?.publicKeyHex === key);
    theirs.forget();
    appeared([peer]);
    await eventually(() => ours.current().key === undefined);
  });

  it('sends a lost message again soon, until it came through or it stops', async () => {
    lostMessages = 1;
    ours.associate(key);
    await eventually(() => theirs.current().key?.publicKeyHex === key);
    assert.equal(asked, 2);
    lostMessages = Number.POSITIVE_INFINITY;
    ours.forget();
    await eventually(() => asked === 4);
    await spread.stop();
    assert.deepEqual(await spread.toAll(new AbortController().signal), [
      { node: 'node-2', outcome: 'unreachable' },
    ]);
    assert.equal(theirs.current().key?.publicKeyHex, key);
  });
});
