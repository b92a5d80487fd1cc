#!/usr/bin/env node
// The executable: hands the arguments to the command line and takes its exit code. Nothing else.

import { runCli } from './cli/cli.ts';

process.exitCode = await runCli(process.argv.slice(2));
