// Who may speak to the agent: rows C4 to C7 of the checklist and every recorded signature.

import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AgentUnderTest,
  assertErrorBody,
  assertLoggedReason,
  startAgentUnderTest,
} from '../support/checks.ts';
import { type RawAnswer, requestRaw } from '../support/raw-http.ts';
import { createSigner } from '../support/signer.ts';
import { vectors } from '../support/vectors.ts';

const { keyA, keyB, secret, valid, invalid, association, otherCurve } = vectors.signature;
const invalidMessage = 'Invalid request signature';

describe('request signature', function () {
  this.timeout(30_000);

  it('C4 refuses a second key after association, with the text that the server looks for', async () => {
    await using under = await startAgentUnderTest();
    equal((await under.request({ path: '/_ping' })).status, 200);
    const second = await requestRaw(under.agent.compat, {
      path: '/_ping',
      headers: createSigner().headers(),
    });
    equal(second.status, 403);
    equal(second.headers.get('content-type'), 'application/json');
    equal(messageOf(second), invalidMessage);
    const line = await assertLoggedReason(under.agent, 0, /^other-key$/);
    match(JSON.stringify(line), /keys forget/);
  });

  for (const vector of valid) {
    it(`C5 accepts: ${vector.name}`, async () => {
      await using under = await startAgentUnderTest(withSecret(vector.agentSecret));
      equal((await send(under, vector.headers)).status, 200);
    });
  }

  for (const agentSecret of ['', secret]) {
    const cases = invalid.filter((one) => one.agentSecret === agentSecret);
    it(`C5 refuses all ${cases.length} bad signatures ${agentSecret === '' ? 'without' : 'with'} a secret`, async () => {
      await using under = await startAgentUnderTest(withSecret(agentSecret));
      for (const vector of cases) {
        const answer = await send(under, vector.headers);
        equal(answer.status, vector.status, vector.name);
        if (vector.body !== undefined) assertErrorBody(answer, vector.status, vector.body);
        else equal(messageOf(answer), vector.messageOnly, vector.name);
      }
      deepEqual(under.engine.receivedAt('/_ping?checked'), []);
    });
  }

  it('C5 follows the recorded association, step by step', async () => {
    await using under = await startAgentUnderTest();
    for (const step of association.steps) {
      const headers = step.headers ?? valid.find(({ name }) => name === step.headersOf)?.headers ?? {};
      const answer = await send(under, headers);
      equal(answer.status, step.status, step.name ?? step.headersOf ?? '');
      if (step.message !== undefined) equal(messageOf(answer), step.message);
    }
  });

  it('C5 answers a key of another curve like the original or refuses it, and never fails', async () => {
    await using under = await startAgentUnderTest();
    const answer = await send(under, {
      'X-PortainerAgent-PublicKey': otherCurve.publicKeyHex,
      'X-PortainerAgent-Signature': otherCurve.signatureBase64NoPadding,
    });
    match(String(answer.status), /^(?:200|403)$/);
    equal((await requestRaw(under.agent.compat, { path: '/ping' })).status, 204);
  });

  it('C6 accepts two key pairs with a secret, and not the default message', async () => {
    await using under = await startAgentUnderTest(withSecret(secret));
    for (const { privateKeyPkcs8Pem: privateKeyPem } of [keyA, keyB]) {
      equal((await send(under, createSigner({ secret, privateKeyPem }).headers())).status, 200);
      equal(messageOf(await send(under, createSigner({ privateKeyPem }).headers())), invalidMessage);
    }
  });

  it('C7 does not associate with the key of a bad signature', async () => {
    await using under = await startAgentUnderTest();
    const stranger = createSigner();
    const forged = { ...stranger.headers(), 'X-PortainerAgent-Signature': 'A'.repeat(86) };
    equal((await send(under, forged)).status, 403);
    equal((await under.request({ path: '/_ping' })).status, 200);
    equal((await send(under, stranger.headers())).status, 403);
  });

  it('keeps the association over a restart', async () => {
    const dataPath = await mkdtemp(join(tmpdir(), 'agent-data-'));
    const signer = createSigner();
    try {
      {
        await using first = await startAgentUnderTest({ dataPath, signer });
        equal((await first.request({ path: '/_ping' })).status, 200);
      }
      await using second = await startAgentUnderTest({ dataPath, signer });
      equal((await send(second, createSigner().headers())).status, 403);
      equal((await second.request({ path: '/_ping' })).status, 200);
    } finally {
      await rm(dataPath, { recursive: true, force: true });
    }
  });
});

function send(under: AgentUnderTest, headers: Readonly<Record<string, string>>): Promise<RawAnswer> {
  return requestRaw(under.agent.compat, { path: '/_ping?checked', headers });
}

function withSecret(agentSecret: string): { env?: Record<string, string> } {
  return agentSecret === '' ? {} : { env: { AGENT_SECRET: agentSecret } };
}

function messageOf(answer: RawAnswer): unknown {
  equal(answer.status, 403);
  return (JSON.parse(answer.body.toString()) as { message: unknown }).message;
}
