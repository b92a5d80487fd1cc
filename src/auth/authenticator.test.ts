// Signatures against the recorded vectors, the association they make, and what a flood of them may cost.

import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSigner } from '../../test/support/signer.ts';
import { vectors } from '../../test/support/vectors.ts';
import { silentLogger } from '../log.ts';
import { openAssociationStore } from './association-store.ts';
import type { AssociationStore, Authenticator, Claim, Verdict } from './auth.ts';
import { createAuthenticator, maxPendingVerifications } from './authenticator.ts';

describe('authenticator', () => {
  let dataPath = '';
  beforeEach(async () => {
    dataPath = await mkdtemp(join(tmpdir(), 'flotilla-auth-'));
  });
  let stores: AssociationStore[] = [];
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.saved()));
    stores = [];
    await rm(dataPath, { recursive: true });
  });

  const openStore = async () => {
    const needs = { log: silentLogger, nowMs: () => 1000, nodeName: () => 'node-1' };
    const store = await openAssociationStore(needs, dataPath);
    stores.push(store);
    return store;
  };
  const create = async (secret?: string) => {
    const association = await openStore();
    return { association, authenticator: createAuthenticator({ association }, { secret }) };
  };
  const toClaim = (headers: Readonly<Record<string, string>>): Claim => ({
    mayAssociate: true,
    publicKey: headers['X-PortainerAgent-PublicKey'],
    signature: headers['X-PortainerAgent-Signature'],
  });
  const verdict = async (
    authenticator: Authenticator,
    headers: Readonly<Record<string, string>>,
  ): Promise<Verdict> => authenticator.authenticate(toClaim(headers));

  for (const row of vectors.signature.valid) {
    it(`trusts: ${row.name}`, async () => {
      const { authenticator } = await create(row.agentSecret === '' ? undefined : row.agentSecret);
      assert.equal((await verdict(authenticator, row.headers)).kind, 'trusted');
    });
  }

  for (const row of vectors.signature.invalid) {
    it(`refuses: ${row.name}, and is not associated by it`, async () => {
      const { association, authenticator } = await create(
        row.agentSecret === '' ? undefined : row.agentSecret,
      );
      const refused = await verdict(authenticator, row.headers);
      assert.ok(refused.kind === 'refused');
      const missing = row.name.includes('missing') || row.name.includes('empty');
      assert.equal(refused.code, missing ? 'signature-missing' : 'signature-invalid');
      if (row.body !== undefined) assert.equal(refused.details, row.body.details);
      assert.equal(association.current().key, undefined);
    });
  }

  it('associates the first key that signs, refuses others, and then ignores what the header says', async () => {
    const { association, authenticator } = await create();
    const [a, b] = [createSigner(), createSigner()];
    assert.equal((await verdict(authenticator, a.headers())).kind, 'trusted');
    assert.equal(association.current().key?.publicKeyHex, a.publicKeyHex);
    const refused = await verdict(authenticator, b.headers());
    assert.ok(refused.kind === 'refused' && refused.reason === 'other-key');
    const odd = { ...a.headers(), 'X-PortainerAgent-PublicKey': 'anything-non-empty' };
    assert.equal((await verdict(authenticator, odd)).kind, 'trusted');
  });

  it('answers a pair that it has verified without a promise, until the key is forgotten', async () => {
    const { association, authenticator } = await create();
    const signature = toClaim(createSigner().headers());
    await authenticator.authenticate(signature);
    assert.deepEqual(authenticator.authenticate(signature), { kind: 'trusted' });
    association.forget();
    const again = authenticator.authenticate(signature);
    assert.ok(again instanceof Promise);
    // It associates once more, and is to be saved before the folder goes.
    await again;
  });

  it('does not carry a verified pair over to another associated key', async () => {
    const { association, authenticator } = await create();
    const [a, b] = [createSigner(), createSigner()];
    const old = toClaim(a.headers());
    await authenticator.authenticate(old);
    association.forget();
    assert.equal((await verdict(authenticator, b.headers())).kind, 'trusted');
    assert.equal((await authenticator.authenticate(old)).kind, 'refused');
  });

  it('lets one of two first keys win when both are being verified', async () => {
    const { association, authenticator } = await create();
    const [a, b] = [createSigner(), createSigner()];
    const verdicts = await Promise.all([
      verdict(authenticator, a.headers()),
      verdict(authenticator, b.headers()),
    ]);
    assert.deepEqual(verdicts.map(({ kind }) => kind).toSorted(), ['refused', 'trusted']);
    const winner = verdicts[0]?.kind === 'trusted' ? a : b;
    assert.equal(association.current().key?.publicKeyHex, winner.publicKeyHex);
  });

  it('takes any key with a secret, and stores none', async () => {
    const { association, authenticator } = await create('a secret');
    for (const signer of [createSigner({ secret: 'a secret' }), createSigner({ secret: 'a secret' })]) {
      const signature = toClaim(signer.headers());
      assert.equal((await authenticator.authenticate(signature)).kind, 'trusted');
      assert.deepEqual(authenticator.authenticate(signature), { kind: 'trusted' });
      const otherKey = { ...signature, publicKey: createSigner().publicKeyHex };
      assert.equal((await authenticator.authenticate(otherKey)).kind, 'refused');
    }
    assert.equal(association.current().key, undefined);
  });

  it('keeps the association over a restart, in a file that only its owner reads', async () => {
    const { association, authenticator } = await create();
    await verdict(authenticator, createSigner().headers());
    const file = join(dataPath, 'portainer_association.json');
    await association.saved();
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.deepEqual((await openStore()).current(), association.current());
  });

  it('is not associated by what may not, and takes the same signature once it is', async () => {
    const { association, authenticator } = await create();
    const [stranger, portainer] = [createSigner(), createSigner()];
    const direct = { ...toClaim(stranger.headers()), mayAssociate: false };
    const refused = await authenticator.authenticate(direct);
    assert.ok(refused.kind === 'refused');
    assert.deepEqual([refused.code, refused.reason], ['signature-invalid', 'not-through-tunnel']);
    assert.equal(association.current().key, undefined);
    assert.equal((await verdict(authenticator, portainer.headers())).kind, 'trusted');
    const later = { ...toClaim(portainer.headers()), mayAssociate: false };
    assert.equal((await authenticator.authenticate(later)).kind, 'trusted');
    const other = await authenticator.authenticate(direct);
    assert.ok(other.kind === 'refused' && other.reason === 'other-key');
    association.forget();
    assert.equal(
      (await authenticator.authenticate(later)).kind,
      'refused',
      'a forgotten key comes first again',
    );
  });

  it('does not associate what was let in under a key that is forgotten meanwhile', async () => {
    const { association, authenticator } = await create();
    const portainer = createSigner();
    await verdict(authenticator, portainer.headers());
    const late = authenticator.authenticate({ ...toClaim(portainer.headers()), mayAssociate: false });
    association.forget();
    assert.equal((await late).kind, 'refused');
    assert.equal(association.current().key, undefined);
  });

  it('asks with a secret for nothing but a signature over it', async () => {
    const { authenticator } = await create('a secret');
    const claim = { ...toClaim(createSigner({ secret: 'a secret' }).headers()), mayAssociate: false };
    assert.equal((await authenticator.authenticate(claim)).kind, 'trusted');
  });

  it('does not start over a file that it cannot read: that would let anybody in', async () => {
    await writeFile(join(dataPath, 'portainer_association.json'), '{"epoch"');
    await assert.rejects(openStore(), { code: 'config-invalid' });
  });

  it('verifies a bounded number at a time and refuses the rest at once', async () => {
    const { authenticator } = await create();
    const signer = createSigner();
    const headers = toClaim(signer.headers());
    const flood = Array.from({ length: maxPendingVerifications + 10 }, () =>
      authenticator.authenticate(headers),
    );
    const verdicts = await Promise.all(flood);
    const overload = verdicts.filter((each) => each.kind === 'refused' && each.reason === 'overload');
    assert.equal(overload.length, 10);
    assert.equal((await verdict(authenticator, signer.headers())).kind, 'trusted');
  });
});
