// A volume of an agent under test: a real folder that the fake engine names as the volume's mount point, and the five
// browse actions on it as signed requests.

import { equal } from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentUnderTest } from './checks.ts';
import { connectRaw, type RawAnswer, type RawConnection, type RawRequest } from './raw-http.ts';

export interface BrowsedVolume extends AsyncDisposable {
  readonly name: string;
  /** Holds the volume's folder `data`, and whatever a test puts beside it. */
  readonly folder: string;
  readonly data: string;
}

export async function createVolume(under: AgentUnderTest, name = 'vol'): Promise<BrowsedVolume> {
  const folder = await mkdtemp(join(tmpdir(), 'volume-'));
  const data = join(folder, 'data');
  await mkdir(data);
  under.engine.state.volumes = {
    Volumes: [{ Name: name, Driver: 'local', Mountpoint: data }],
    Warnings: null,
  };
  return {
    name,
    folder,
    data,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface ListedEntry {
  readonly Name: string;
  readonly Size: number;
  readonly Dir: boolean;
  readonly ModTime: number;
}

export interface BrowseClient {
  ls(path: string | Buffer): Promise<RawAnswer>;
  entries(path: string | Buffer): Promise<readonly ListedEntry[]>;
  get(path: string | Buffer, headers?: Readonly<Record<string, string>>): Promise<RawAnswer>;
  remove(path: string | Buffer): Promise<RawAnswer>;
  rename(from: string, to: string): Promise<RawAnswer>;
  put(folder: string | Buffer, fileName: string | Buffer, content: string | Buffer): Promise<RawAnswer>;
}

export type Requester = Pick<AgentUnderTest, 'request'>;

/** Signed requests one after the other on one connection, for tests that make thousands of them. */
export async function keptConnection(under: AgentUnderTest): Promise<Requester & AsyncDisposable> {
  const signature = under.signer.headers();
  let connection: RawConnection | undefined;
  return {
    async request(request: RawRequest) {
      connection ??= await connectRaw(under.agent.compat);
      await connection.request({ ...request, headers: { ...signature, ...request.headers } });
      return connection.answer(request.method);
    },
    [Symbol.asyncDispose]: async () => connection?.[Symbol.asyncDispose](),
  };
}

/** An empty volume is the host. */
export function browseClient(under: Requester, volumeId: string, target?: string): BrowseClient {
  const volume = volumeId === '' ? '' : `volumeID=${encodeURIComponent(volumeId)}`;
  const steer: Record<string, string> = target === undefined ? {} : { 'X-PortainerAgent-Target': target };
  const at = (action: string, path: string | Buffer): string =>
    `/v2/browse/${action}?${volume}&path=${escapeBytes(path)}`;
  const ls: BrowseClient['ls'] = (path) => under.request({ path: at('ls', path), headers: steer });
  return {
    ls,
    async entries(path) {
      const answer = await ls(path);
      equal(answer.status, 200, answer.body.toString());
      equal(answer.headers.get('content-type'), 'application/json');
      return JSON.parse(answer.body.toString()) as ListedEntry[];
    },
    get: (path, headers = {}) => under.request({ path: at('get', path), headers: { ...steer, ...headers } }),
    remove: (path) => under.request({ method: 'DELETE', path: at('delete', path), headers: steer }),
    rename: (from, to) =>
      under.request({
        method: 'PUT',
        path: `/v2/browse/rename?${volume}`,
        headers: { ...steer, 'Content-Type': 'application/json' },
        body: JSON.stringify({ CurrentFilePath: from, NewFilePath: to }),
      }),
    put(folder, fileName, content) {
      const { body, type } = uploadForm(folder, fileName, content);
      return under.request({
        method: 'POST',
        path: `/v2/browse/put?${volume}`,
        headers: { ...steer, 'Content-Type': type },
        body,
      });
    },
  };
}

const boundary = 'XXboundaryXX';

/** The form as Portainer's page sends it: the file first. Quotes and line ends are escaped as browsers do. */
export function uploadForm(
  folder: string | Buffer,
  fileName: string | Buffer,
  content: string | Buffer,
): { readonly body: Buffer; readonly type: string } {
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([uploadHead(fileName), Buffer.from(content), uploadTail(folder)]),
  };
}

/** The same with the folder first, as other clients may send it. */
export function folderFirstForm(
  folder: string | Buffer,
  fileName: string | Buffer,
  content: string | Buffer,
): { readonly body: Buffer; readonly type: string } {
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="Path"\r\n\r\n`),
      Buffer.from(folder),
      Buffer.from('\r\n'),
      uploadHead(fileName),
      Buffer.from(content),
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  };
}

export function uploadHead(fileName: string | Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="`),
    Buffer.from(fileName),
    Buffer.from('"\r\nContent-Type: application/octet-stream\r\n\r\n'),
  ]);
}

export function uploadTail(folder: string | Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`\r\n--${boundary}\r\nContent-Disposition: form-data; name="Path"\r\n\r\n`),
    Buffer.from(folder),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
}

/** Every byte that is not plain, percent-encoded. */
export function escapeBytes(path: string | Buffer): string {
  return Buffer.from(path)
    .toString('latin1')
    .replace(/[^A-Za-z0-9/._-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
