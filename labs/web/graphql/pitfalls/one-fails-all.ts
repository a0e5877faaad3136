// Flaw: what one row throws leaves the batch function, and is the answer to every key of the batch.
// Seen in: https://github.com/graphql/dataloader/issues/169
// Caught by: a row that cannot be read fails alone
import { type Batch, type Key, type RowsByKey, batchByKey as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function batchByKey<K extends Key, Row, Value>(rows: RowsByKey<K, Row, Value>): Batch<K, Value | null> {
  const batch = reference(rows);
  return async (keys) => {
    const answers = await batch(keys);
    for (const answer of answers) if (answer instanceof Error) throw answer;
    return answers;
  };
}
