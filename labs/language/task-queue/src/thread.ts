// What runs in the thread of a sandboxed task. Started by `startThread`, imported by nobody.
import { workerData } from 'node:worker_threads';
import { asError, LockLostError, PermanentError, SoftTimeLimitError, TaskRevokedError } from './errors.ts';
import type { Abort, Said, Start } from './sandbox.ts';

const { module, payload, id, attempt, line }: Start = workerData;
const controller = new AbortController();
const tell = (said: Said) => line.postMessage(said);

line.on('message', ({ name, message }: Abort) => {
  // Errors lose their class on the way.
  if (name === TaskRevokedError.name) controller.abort(new TaskRevokedError(id, undefined, TaskRevokedError.reason));
  else controller.abort(new (name === LockLostError.name ? LockLostError : SoftTimeLimitError)(message));
});

try {
  const { default: run } = await import(module);
  const progress = async (percent: number) => tell({ progress: percent });
  const value = await run(payload, { id, attempt, signal: controller.signal, progress });
  try {
    tell({ value });
  } catch (error) {
    // Another run would have its effect again, and this result again.
    throw new PermanentError(`its result can't be stored: ${asError(error).message}`, { cause: error });
  }
} catch (error) {
  const { message, stack } = asError(error);
  tell({ failure: message, stack, permanent: error instanceof PermanentError });
}

// Whoever ends this thread cuts off what it has printed and nobody has read yet.
const read = (stream: NodeJS.WriteStream) => new Promise((resolve) => stream.write('', resolve));
await Promise.all([read(process.stdout), read(process.stderr)]);
line.close();
