// What edge jobs and stacks are tried with: a folder that stands for a host or for `DATA_PATH`, a Portainer server, and the
// agent's own client towards it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openHostFolder } from '../../src/compose/host-folder.ts';
import type { Portainer } from '../../src/edge/edge.ts';
import { createPortainerClient } from '../../src/edge/portainer-client.ts';
import { testEdgeId } from './edge-agents.ts';
import { type EdgeServer, startEdgeServer } from './edge-server/edge-server.ts';

export interface EdgeJobsBench extends AsyncDisposable {
  /** An empty folder. */
  readonly folder: string;
  readonly server: EdgeServer;
  readonly portainer: Portainer;
  /** Folders below `folder`, as those of a host. */
  openHostFolder(path: string, missing: 'left' | 'made'): ReturnType<typeof openHostFolder>;
}

export async function createEdgeJobsBench(): Promise<EdgeJobsBench> {
  const folder = await mkdtemp(path.join(tmpdir(), 'flotilla-edge-'));
  const server = await startEdgeServer();
  const client = createPortainerClient({
    baseUrl: server.url,
    edgeId: testEdgeId,
    insecure: false,
    mtls: undefined,
    proxies: { http: undefined, https: undefined, except: undefined },
  });
  return {
    folder,
    server,
    portainer: { url: server.url, environmentId: 7, send: client.send },
    openHostFolder: (where, missing) => openHostFolder(folder, where, missing),
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
