// Flaw: map submits all inputs before the first result is taken: a long list fills the memory, an endless one never begins.
// Seen in: https://github.com/python/cpython/issues/74028
// Caught by: map is never more than buffersize ahead of who takes its results
import { type Input, type MapOptions, Executor as Reference, type TaskName } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  override map<K extends TaskName<T>>(task: K, inputs: Iterable<Input<T, K>>, options: MapOptions = {}) {
    return super.map(task, inputs, { ...options, buffersize: Number.MAX_SAFE_INTEGER });
  }
}
