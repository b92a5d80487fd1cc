// The SSH client against the recording of a real chisel server: same inputs, same bytes.

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { tunnelVectors } from '../../../../test/support/tunnel-vectors.ts';
import { encodeConfig } from '../chisel-link.ts';
import { assertFingerprint } from '../fingerprint.ts';
import { toEphemeralKey } from './kex.ts';
import { createSshSession, type SshSession } from './session.ts';

const { chisel, sshTranscript } = tunnelVectors;
const recordedCookie = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
/** RFC 8410 §7: what stands before the 32 bytes of a private X25519 key. */
const x25519Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');

interface Recorder {
  readonly session: SshSession;
  readonly sent: Buffer[];
  readonly channels: Duplex[];
}

function startRecorded(): Recorder {
  const sent: Buffer[] = [];
  const channels: Duplex[] = [];
  const secret = Buffer.from(sshTranscript.clientEphemeralX25519PrivateHex, 'hex');
  const der = Buffer.concat([x25519Prefix, secret]);
  const session = createSshSession(
    {
      send: (packet) => void sent.push(Buffer.concat(packet)),
      isBlocked: () => false,
      onReady: () => void session.request('config', encodeConfig({ port: 51234, target: '127.0.0.1:19001' })),
      onChannel: (channel) => void channels.push(channel),
      checkHostKey: (blob) => assertFingerprint(blob, chisel.fingerprintSha256Base64),
      random: (bytes) => (bytes === recordedCookie.length ? recordedCookie : Buffer.alloc(bytes)),
    },
    {
      ident: sshTranscript.V_C,
      user: sshTranscript.username,
      password: sshTranscript.password,
      channelType: 'chisel',
      target: '127.0.0.1:19001',
      createKey: () => toEphemeralKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })),
      kexMethods: ['curve25519-sha256'],
      returnAtBytes: 1,
    },
  );
  return { session, sent, channels };
}

describe('ssh client and a recorded chisel server', () => {
  it('sends the recorded session byte for byte', () => {
    const { session, sent, channels } = startRecorded();
    const expected: string[] = [];
    session.start();
    for (const { dir, wsMessageHex } of sshTranscript.messages) {
      if (dir === 'server-to-client') {
        session.receive(Buffer.from(wsMessageHex, 'hex'));
        continue;
      }
      expected.push(wsMessageHex);
      // What the recorded program did of its own accord, once its peer had said its word.
      const [channel] = channels;
      if (sent.length < expected.length && channel !== undefined) {
        if (!channel.writableEnded && channel.writableLength === 0 && channel.read() !== null)
          channel.write('world');
        else channel.end();
      }
    }
    assert.deepEqual(
      sent.map((bytes) => bytes.toString('hex')),
      expected,
    );
  });

  it('reads it cut anywhere', () => {
    const { session, channels } = startRecorded();
    session.start();
    for (const { dir, wsMessageHex } of sshTranscript.messages.slice(0, -4)) {
      if (dir === 'client-to-server') continue;
      for (const byte of Buffer.from(wsMessageHex, 'hex')) session.receive(Buffer.from([byte]));
    }
    assert.equal(String(channels[0]?.read()), 'hello');
  });

  it('encodes the config request as the original does', () => {
    assert.equal(encodeConfig({ port: 51234, target: '10.0.1.5:9001' }), chisel.configJson);
  });
});
