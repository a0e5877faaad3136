// Flaw: the watermark is the day of the newest order, not of the newest change: what comes late or is cancelled is never seen.
// Seen in: https://github.com/meltano/squared/pull/570
// Caught by: only days with a change are computed anew: late orders, corrections and cancellations among them
import type { Collection, Document } from 'mongodb';
import { type Refreshed, refreshView as reference, type ViewOptions } from '../src/index.ts';

export * from '../src/index.ts';

export function refreshView<T extends Document>(source: Collection<T>, options: ViewOptions<T>): Promise<Refreshed> {
  return reference(source, { ...options, changed: options.at });
}
