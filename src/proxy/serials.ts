// Numbers objects by identity, so that those who hold different ones never share what was made for one of them.

export function createSerials<T extends object>(): (of: T) => number {
  const serials = new WeakMap<T, number>();
  let last = 0;
  return (of) => {
    const serial = serials.get(of) ?? ++last;
    serials.set(of, serial);
    return serial;
  };
}
