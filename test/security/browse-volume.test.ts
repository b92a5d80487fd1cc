// Which volume a request names: Portainer lets a user at the first volume that Go reads in the query, and only its
// administrators at the host. A query that we read as another volume, or as none, would give users the host.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type BrowsedVolume,
  createVolume,
  keptConnection,
  type Requester,
  uploadForm,
} from '../support/browse.ts';
import {
  type AgentUnderTest,
  assertErrorBody,
  assertLoggedReason,
  startAgentUnderTest,
} from '../support/checks.ts';
import type { RawAnswer, RawRequest } from '../support/raw-http.ts';

const secret = 'of the host alone';
/** In each, Go reads the volume `mine` first or no proper volume at all. */
const queries = [
  'volumeID=%zz&volumeID=mine',
  'volumeID=%&volumeID=mine',
  'volumeID=a;b&volumeID=mine',
  'volumeID=mine&volumeID=',
  'volumeID=&volumeID=mine',
  'volumeID=mine&volumeID=mine',
  'volume%49D=mine&volumeID=',
  'volumeID=mine;',
  'volumeID=%zz',
];

describe('the volume that a request names', () => {
  let hostRoot: string;
  let under: AgentUnderTest;
  let volume: BrowsedVolume;
  let connection: Requester & AsyncDisposable;

  before(async function () {
    this.timeout(30_000);
    hostRoot = await mkdtemp(join(tmpdir(), 'host-'));
    under = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
    volume = await createVolume(under, 'mine');
    connection = await keptConnection(under);
  });

  beforeEach(async () => {
    await writeFile(join(hostRoot, 'secret'), secret);
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') under.agent.printLog();
  });

  after(async function () {
    this.timeout(30_000);
    await connection?.[Symbol.asyncDispose]();
    await under?.[Symbol.asyncDispose]();
    await volume?.[Symbol.asyncDispose]();
    await rm(hostRoot, { recursive: true, force: true });
  });

  const form = uploadForm('/host', 'planted', 'x');
  const rename = JSON.stringify({ CurrentFilePath: '/host/secret', NewFilePath: '/host/planted' });
  const actions: readonly RawRequest[] = [
    { path: '/v2/browse/ls?path=/host' },
    { path: '/v2/browse/get?path=/host/secret' },
    { method: 'DELETE', path: '/v2/browse/delete?path=/host/secret' },
    {
      method: 'PUT',
      path: '/v2/browse/rename?',
      headers: { 'Content-Type': 'application/json' },
      body: rename,
    },
    { method: 'POST', path: '/v2/browse/put?', headers: { 'Content-Type': form.type }, body: form.body },
  ];
  const send = (action: RawRequest, query: string): Promise<RawAnswer> =>
    connection.request({ ...action, path: `${action.path}&${query}` });

  it('is refused wherever it can be read in two ways, for every action, and logged', async function () {
    this.timeout(30_000);
    for (const query of queries) {
      for (const action of actions) {
        const lines = under.agent.logLines().length;
        const answer = await send(action, query);
        assertErrorBody(answer, 400, {
          message: 'Invalid volume',
          details: 'Invalid volume name. It is given twice or escaped wrongly',
        });
        await assertLoggedReason(under.agent, lines, /^request-invalid$/);
      }
    }
    deepEqual(await readdir(hostRoot), ['secret']);
    equal(await readFile(join(hostRoot, 'secret'), 'utf8'), secret);
    deepEqual(await readdir(volume.data), []);
  });

  it('is the host only where no volume is named at all', async () => {
    const [, get] = actions;
    ok(get !== undefined);
    equal((await send(get, 'volumeid=mine')).body.toString(), secret);
    equal((await send(get, 'volumeID=mine')).status, 500);
  });
});
