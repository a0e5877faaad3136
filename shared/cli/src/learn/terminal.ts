import type { Screen } from '../context.ts';

/** Hands over each key of a stream as it comes. */
export function keysOf(stream: NodeJS.ReadableStream, pressed: (key: string) => void): Disposable {
  const listener = (chunk: Buffer) => {
    for (const key of chunk.toString()) pressed(key);
  };
  stream.on('data', listener);
  return { [Symbol.dispose]: () => void stream.off('data', listener) };
}

/** Hands over each key as it is pressed; a terminal in raw mode turns Ctrl-C into a key as well. */
export function terminalKeys(stdin: NodeJS.ReadStream): ((pressed: (key: string) => void) => Disposable) | undefined {
  if (!stdin.isTTY) return undefined;
  return (pressed) => {
    stdin.setRawMode(true);
    const keys = keysOf(stdin, pressed);
    stdin.resume();
    return {
      [Symbol.dispose]() {
        keys[Symbol.dispose]();
        stdin.setRawMode(false);
        stdin.pause();
      },
    };
  };
}

const clearScreen = '\u001b[2J\u001b[H';
const clearLine = '\r\u001b[2K';

/** A page that replaces the one before, and a status line below it; in a pipe, pages follow each other. */
export function pages(out: Screen): { show(page: string): void; status(line: string): void } {
  let statusShown = false;
  return {
    show(page) {
      out.write(out.interactive ? `${clearScreen}${page}` : `${page}\n`);
      statusShown = false;
    },
    status(line) {
      if (!out.interactive) return;
      out.write(`${statusShown ? clearLine : '\n'}  ${line}`);
      statusShown = true;
    },
  };
}
