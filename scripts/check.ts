// `npm run check`: format, lint, types, import rules, dead code, unit and conformance tests, three tools at a time:
// the tests wait more than they work.

import { bundleStep, checkSteps } from './check-steps.ts';
import { failedTitles, forwardSignals, runSteps, sumCounts, summaryLine } from './steps.ts';

forwardSignals();
const startedMs = performance.now();
const bundled = await runSteps([bundleStep], 1);
// Agents of an older bundle would show nothing.
const results = bundled.every(({ ok }) => ok) ? [...bundled, ...(await runSteps(checkSteps(), 3))] : bundled;
const seconds = (performance.now() - startedMs) / 1_000;
process.stdout.write(
  `${failedTitles(results)}check took ${seconds.toFixed(1)} s\n${summaryLine(sumCounts(results))}\n`,
);
if (results.some((result) => !result.ok)) process.exitCode ||= 1;
