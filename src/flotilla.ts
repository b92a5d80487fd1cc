#!/usr/bin/env node
// The executable: hands the arguments to the command line and takes its exit code. It does nothing else but keep V8's
// young generation small and ask for more threads, which must be said before anything is loaded: neither changes later.

import { setFlagsFromString } from 'node:v8';

// Each piece of an upload is a buffer outside V8's heap, freed when the small object that stands for it is collected. In
// a young generation that grows as it likes this takes so long that a 1 GiB upload raised the resident memory by 70 MB.
// At its first size it stays under 32 MiB, for some 5 % of processor time.
setFlagsFromString('--semi-space-growth-factor=1');

// Of libuv's own four, four calls to dead mounts would leave none for the signatures of requests and for names.
// biome-ignore lint/style/noProcessEnv: libuv has no other way to be told
process.env.UV_THREADPOOL_SIZE ??= '8';

const { runCli } = await import('./cli/cli.ts');
process.exitCode = await runCli(process.argv.slice(2));
