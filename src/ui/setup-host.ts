// Says by which hosts the page may be asked for. A site that a person has open can point a name of its own at this address
// (DNS rebinding), and is of the same origin to the browser then; it cannot do so with an address, or a name of ours. Pure.

import { isIP } from 'node:net';

export interface OwnNames {
  /** The engine's name of this node. One with a dot is no proof: others may own its domain. */
  readonly nodeName: string;
  /** What the operator said to listen on; a name counts as it is. */
  readonly listenHost: string;
}

/** `host` is the header, with or without a port. Names are compared without their case. */
export function isOwnHost(host: string | undefined, { nodeName, listenHost }: OwnNames): boolean {
  const { address, name } = /^(?:\[(?<address>.*)\]|(?<name>[^:]*))(?::\d*)?$/.exec(host ?? '')?.groups ?? {};
  if (address !== undefined) return isIP(address) === 6;
  if (name === undefined || name === '') return false;
  if (isIP(name) === 4) return true;
  const own = ['localhost', listenHost, ...(nodeName.includes('.') ? [] : [nodeName])];
  return own.some((each) => each.toLowerCase() === name.toLowerCase());
}
