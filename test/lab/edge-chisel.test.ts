// The tunnel to a chisel server that is built from the SSH library of the real one, which is not ours to misread.

import { ensurePackages, goPackages } from '../../scripts/debian-packages.ts';
import { goBuildTimeoutMs, startGoChiselServer } from '../support/chisel-go/chisel-go.ts';
import { tunnelCases } from '../support/tunnel-cases.ts';

const installTimeoutMs = 300_000;

describe("tunnel to a chisel server of Go's SSH library", function () {
  this.timeout(60_000);
  before(async function () {
    this.timeout(installTimeoutMs + goBuildTimeoutMs);
    ensurePackages(goPackages);
    await using _built = await startGoChiselServer();
  });

  tunnelCases(startGoChiselServer);
});
