// `npm run build`: src/flotilla.ts and everything it imports → one file, dist/flotilla.mjs, that needs Node and nothing else.
// Parts of libraries that the agent never uses are left out: they cost memory from the first second.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root: string = dirname(dirname(fileURLToPath(import.meta.url)));
const bundleFile: string = join(root, 'dist', 'flotilla.mjs');

/** CommonJS libraries call `require` for Node's own modules, and ask where they are; an ES module has none of it. */
const requireBanner = `import { createRequire as flotillaCreateRequire } from 'node:module';
const require = flotillaCreateRequire(import.meta.url);
const __dirname = import.meta.dirname;
const __filename = import.meta.filename;`;

/**
 * dockerode speaks gRPC for BuildKit and docker-modem speaks SSH, both loaded at once and 15 MB of memory.
 * We ask the engine over a unix socket and never build, so these importers get an empty module in their place.
 */
const unusedParts: readonly { readonly importer: RegExp; readonly module: RegExp }[] = [
  { importer: /\/node_modules\/dockerode\//, module: /^(@grpc\/(grpc-js|proto-loader)|protobufjs)$/ },
  { importer: /\/node_modules\/docker-modem\//, module: /^ssh2$/ },
];

/**
 * undici's entry point also loads fetch, WebSocket, caches and mocks, three quarters of a megabyte of source. Of its
 * values the agent uses these alone; the typings keep everything else out of reach of a mistake.
 */
const undiciParts = `import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import request from 'undici/lib/api/api-request.js';
Dispatcher.prototype.request = request;
export { Dispatcher };
export { default as Pool } from 'undici/lib/dispatcher/pool.js';
export { default as Agent } from 'undici/lib/dispatcher/agent.js';
export { default as EnvHttpProxyAgent } from 'undici/lib/dispatcher/env-http-proxy-agent.js';`;

const leaveOutUnusedParts: Plugin = {
  name: 'leave-out-unused-parts',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, ({ path }) => ({ path, namespace: 'undici-parts' }));
    onLoad({ filter: /.*/, namespace: 'undici-parts' }, () => ({ contents: undiciParts, resolveDir: root }));
    onResolve({ filter: /^(@grpc|protobufjs|ssh2)/ }, ({ path, importer }) => {
      const unused = unusedParts.some((part) => part.module.test(path) && part.importer.test(importer));
      return unused ? { path, namespace: 'unused' } : undefined;
    });
    onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/**
 * Node's own modules, taken as values where they are used: an `import` of one reads all that it exports, and `http` then
 * loads a whole fetch, a third of the processor time of a health check.
 */
const takeBuiltinsAsValues: Plugin = {
  name: 'take-builtins-as-values',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /.*/ }, ({ path, kind }) =>
      kind === 'import-statement' && isBuiltin(path) ? { path, namespace: 'builtin' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

/** Compiled additions are optional wherever they appear (ssh2): the library goes on without them when they are missing. */
const leaveOutNativeAdditions: Plugin = {
  name: 'leave-out-native-additions',
  setup({ onResolve }) {
    onResolve({ filter: /\.node$|^cpu-features$/ }, ({ path }) => ({ path, external: true }));
  },
};

async function buildBundle(): Promise<number> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ['src/flotilla.ts'],
    outfile: bundleFile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    // Names stay, for stack traces that can be read: not by `keepNames`, which would define each closure's name anew when
    // it is made, some thirty times a request.
    minifyIdentifiers: false,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    sourcemap: 'linked',
    banner: { js: requireBanner },
    plugins: [takeBuiltinsAsValues, leaveOutUnusedParts, leaveOutNativeAdditions],
    write: false,
    logLevel: 'warning',
  });
  mkdirSync(dirname(bundleFile), { recursive: true });
  for (const { path, contents } of outputFiles) {
    // Whole or not at all: an image may be built from it at this moment.
    writeFileSync(`${path}.new`, contents, { mode: 0o755 });
    renameSync(`${path}.new`, path);
  }
  return outputFiles.find(({ path }) => path === bundleFile)?.contents.length ?? 0;
}

try {
  const bytes = await buildBundle();
  process.stdout.write(`${relative(process.cwd(), bundleFile)}: ${(bytes / 1_048_576).toFixed(1)} MiB\n`);
} catch {
  // esbuild has said what is wrong, and where.
  process.exitCode = 1;
}
