// What a chisel client asks for in its one `config` request. Names as on the wire.

export interface ChiselConfig {
  readonly Remotes: readonly {
    readonly LocalHost: string;
    readonly LocalPort: string;
    readonly RemoteHost: string;
    readonly RemotePort: string;
    readonly Reverse: boolean;
  }[];
}

export function readConfig(data: Buffer): ChiselConfig {
  return JSON.parse(String(data)) as ChiselConfig;
}
