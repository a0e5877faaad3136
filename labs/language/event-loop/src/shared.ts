import { InvalidArgumentError } from './errors.ts';

/** `buffer` for the second thread, a new one for the first. */
export function sharedMemory(buffer: SharedArrayBuffer | undefined, bytes: number): SharedArrayBuffer {
  if (buffer === undefined) return new SharedArrayBuffer(bytes);
  if (buffer instanceof SharedArrayBuffer && buffer.byteLength === bytes) return buffer;
  throw new InvalidArgumentError(`buffer must be the SharedArrayBuffer of ${bytes} bytes that another thread has.`);
}
