import type { Message } from '@shared/web';

/** Sends a message to the pages, from a process that the server has started: one a line. */
export function emit(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
