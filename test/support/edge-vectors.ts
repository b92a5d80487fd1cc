// The recorded examples of Edge mode that tests are held to, with their types.

import { readFileSync } from 'node:fs';

export interface RecordedEdgeKey {
  readonly name: string;
  readonly encoded: string;
  readonly portainerUrl: string;
  readonly tunnelServerAddr: string;
  readonly fingerprint: string;
  readonly endpointId: number;
}

export interface EdgeVectors {
  readonly edgeKey: {
    readonly valid: readonly RecordedEdgeKey[];
    readonly invalid: readonly { readonly name: string; readonly encoded: string }[];
  };
  readonly poll: {
    readonly request: {
      readonly method: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
    };
    readonly responses: readonly { readonly body: string; readonly etag: string }[];
  };
}

// The file is part of the repository, so its shape is a fact and not input.
export const edgeVectors: EdgeVectors = JSON.parse(
  readFileSync(new URL('../data/edge-vectors.json', import.meta.url), 'utf8'),
) as EdgeVectors;
