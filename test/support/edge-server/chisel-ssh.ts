// The server's half of SSH as a chisel server speaks it, written from its description and not from the client's code.
// Packets, one key exchange, one password; what comes after is handed on as messages.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';

export interface SshServerOptions {
  readonly hostKey: KeyObject;
  readonly send: (bytes: Buffer) => void;
  readonly checkPassword: (user: string, password: string) => boolean;
  readonly onMessage: (payload: Buffer) => void;
}

export interface SshServer {
  receive(bytes: Buffer): void;
  send(payload: Buffer): void;
  /** Exchanges keys again; false while that is going on. */
  rekey(): boolean;
  readonly user: () => string | undefined;
}

interface Keys {
  readonly key: Buffer;
  readonly prefix: Buffer;
  counter: bigint;
}

const ident = 'SSH-chisel-v3-server';

export const num = (value: number): Buffer => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);
export const str = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([num(bytes.length), bytes]);
};
export const strings = (message: Buffer, offset: number, count: number): Buffer[] => {
  const found: Buffer[] = [];
  let at = offset;
  for (let i = 0; i < count; i += 1) {
    const end = at + 4 + message.readUInt32BE(at);
    found.push(message.subarray(at + 4, end));
    at = end;
  }
  return found;
};

/** The 104 bytes of which the fingerprint is taken. */
export function hostKeyBlob(hostKey: KeyObject): Buffer {
  const { x = '', y = '' } = createPublicKey(hostKey).export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return Buffer.concat([str('ecdsa-sha2-nistp256'), str('nistp256'), str(point)]);
}

export function readHostKey(pem: string): KeyObject {
  return createPrivateKey(pem);
}

export function createSshServer(options: SshServerOptions): SshServer {
  const blob = hostKeyBlob(options.hostKey);
  let buffered: Buffer = Buffer.alloc(0);
  let clientIdent: string | undefined;
  let ownInit = Buffer.alloc(0);
  let clientInit = Buffer.alloc(0);
  let sessionId: Buffer | undefined;
  let opener: Keys | undefined;
  let sealer: Keys | undefined;
  let nextOpener: Keys | undefined;
  let user: string | undefined;
  let exchanging = true;
  const held: Buffer[] = [];

  const sendNow = (payload: Buffer): void => {
    const block = sealer === undefined ? 8 : 16;
    const prefix = sealer === undefined ? 5 : 1;
    let padding = block - ((prefix + payload.length) % block);
    if (padding < 4) padding += block;
    const body = Buffer.concat([Buffer.from([padding]), payload, randomBytes(padding)]);
    const length = num(body.length);
    if (sealer === undefined) {
      options.send(Buffer.concat([length, body]));
      return;
    }
    const gcm = createCipheriv('aes-128-gcm', sealer.key, nonceOf(sealer)).setAAD(length);
    const sealed = gcm.update(body);
    gcm.final();
    options.send(Buffer.concat([length, sealed, gcm.getAuthTag()]));
  };

  const sendInit = (): void => {
    const lists = [
      'curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,kex-strict-s-v00@openssh.com',
      'ecdsa-sha2-nistp256',
      'aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr',
      'aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr',
      'hmac-sha2-256-etm@openssh.com,hmac-sha2-256',
      'hmac-sha2-256-etm@openssh.com,hmac-sha2-256',
      'none',
      'none',
      '',
      '',
    ];
    const names = lists.map((list) => str(list));
    ownInit = Buffer.concat([Buffer.from([20]), randomBytes(16), ...names, Buffer.alloc(5)]);
    exchanging = true;
    sendNow(ownInit);
  };

  const exchange = (payload: Buffer): void => {
    const [clientPoint = Buffer.alloc(0)] = strings(payload, 1, 1);
    const own = generateKeyPairSync('x25519');
    const ownPoint = Buffer.from(own.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const jwk = { kty: 'OKP', crv: 'X25519', x: clientPoint.toString('base64url') };
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    const secret = positive(diffieHellman({ privateKey: own.privateKey, publicKey }));
    const said = [clientIdent ?? '', ident, clientInit, ownInit, blob, clientPoint, ownPoint].map(str);
    const hash = createHash('sha256')
      .update(Buffer.concat([...said, secret]))
      .digest();
    sessionId ??= hash;
    const raw = sign('sha256', hash, { key: options.hostKey, dsaEncoding: 'ieee-p1363' });
    const pair = Buffer.concat([positive(raw.subarray(0, 32)), positive(raw.subarray(32))]);
    const signature = Buffer.concat([str('ecdsa-sha2-nistp256'), str(pair)]);
    sendNow(Buffer.concat([Buffer.from([31]), str(blob), str(ownPoint), str(signature)]));
    sendNow(Buffer.from([21]));
    const derive = (letter: string): Buffer =>
      createHash('sha256')
        .update(Buffer.concat([secret, hash, Buffer.from(letter), sessionId ?? hash]))
        .digest();
    sealer = toKeys(derive('D'), derive('B'));
    nextOpener = toKeys(derive('C'), derive('A'));
  };

  const authenticate = (payload: Buffer): void => {
    const [name = '', , method = '', ...more] = strings(payload, 1, 3).map(String);
    void more;
    const passwordAt = 1 + 12 + Buffer.byteLength(name) + 'ssh-connection'.length + method.length + 1;
    const good =
      method === 'password' && options.checkPassword(name, String(strings(payload, passwordAt, 1)[0]));
    if (good) user = name;
    sendNow(good ? Buffer.from([52]) : Buffer.concat([Buffer.from([51]), str('password'), Buffer.from([0])]));
  };

  const handle = (payload: Buffer): void => {
    switch (payload[0] ?? 0) {
      case 20:
        clientInit = Buffer.from(payload);
        if (!exchanging) sendInit();
        return;
      case 30:
        exchange(payload);
        return;
      case 21:
        opener = nextOpener;
        exchanging = false;
        for (const each of held.splice(0)) sendNow(each);
        return;
      case 5:
        sendNow(Buffer.concat([Buffer.from([6]), payload.subarray(1)]));
        return;
      case 50:
        authenticate(payload);
        return;
      default:
        if (user === undefined) throw new Error(`message ${payload[0]} before authentication`);
        options.onMessage(payload);
    }
  };

  const takePacket = (): Buffer | undefined => {
    if (buffered.length < 4) return undefined;
    const length = buffered.readUInt32BE();
    const end = 4 + length + (opener === undefined ? 0 : 16);
    if (buffered.length < end) return undefined;
    const [head, sealed, tag] = [
      buffered.subarray(0, 4),
      buffered.subarray(4, 4 + length),
      buffered.subarray(4 + length, end),
    ];
    buffered = buffered.subarray(end);
    let body = sealed;
    if (opener !== undefined) {
      const gcm = createDecipheriv('aes-128-gcm', opener.key, nonceOf(opener)).setAAD(head).setAuthTag(tag);
      body = gcm.update(sealed);
      gcm.final();
    }
    return body.subarray(1, body.length - (body[0] ?? 0));
  };

  options.send(Buffer.from(`${ident}\r\n`));
  return {
    receive(bytes): void {
      buffered = buffered.length === 0 ? bytes : Buffer.concat([buffered, bytes]);
      if (clientIdent === undefined) {
        const end = buffered.indexOf('\r\n');
        if (end === -1) return;
        clientIdent = buffered.subarray(0, end).toString();
        buffered = buffered.subarray(end + 2);
        sendInit();
      }
      for (let payload = takePacket(); payload !== undefined; payload = takePacket()) handle(payload);
    },
    send(payload): void {
      if (exchanging) held.push(payload);
      else sendNow(payload);
    },
    rekey(): boolean {
      if (exchanging) return false;
      sendInit();
      return true;
    },
    user: () => user,
  };
}

function positive(value: Buffer): Buffer {
  let at = 0;
  while (value[at] === 0) at += 1;
  const digits = value.subarray(at);
  return str((digits[0] ?? 0) > 127 ? Buffer.concat([Buffer.alloc(1), digits]) : digits);
}

function toKeys(key: Buffer, nonce: Buffer): Keys {
  return { key: key.subarray(0, 16), prefix: nonce.subarray(0, 4), counter: nonce.readBigUInt64BE(4) };
}

function nonceOf(keys: Keys): Buffer {
  const nonce = Buffer.alloc(12);
  keys.prefix.copy(nonce);
  nonce.writeBigUInt64BE(keys.counter, 4);
  keys.counter = BigInt.asUintN(64, keys.counter + 1n);
  return nonce;
}
