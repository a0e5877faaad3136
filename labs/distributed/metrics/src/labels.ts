import { InvalidArgumentError } from './errors.ts';

/** Longer values are `other`: a label is a name, and is sent anew at each scrape. */
const MAX_LENGTH = 128;

/**
 * A label that cannot explode. The first `max` values are kept for the life of the process; every other one is `other`.
 * First come, not last used: a value that left and came back would be a counter that falls to nought.
 *
 * Each value of each label is a time series of its own, times the values of the labels beside it, times the buckets of a
 * histogram (https://prometheus.io/docs/practices/naming/#labels).
 *
 * @param max How many values are kept, beside `other`.
 * @throws InvalidArgumentError
 */
export function boundedLabel(max: number): (value: string) => string {
  if (!Number.isSafeInteger(max) || max < 1) {
    throw new InvalidArgumentError(`A label keeps a whole number of values, at least 1, not ${max}.`);
  }
  const kept = new Set<string>();
  return (value) => {
    const label = storable(value);
    if (kept.has(label)) return label;
    if (kept.size >= max || label === '' || label.length > MAX_LENGTH) return 'other';
    kept.add(label);
    return label;
  };
}

/** @throws InvalidArgumentError unless Prometheus keeps it as it is, and it is 1 to 128 characters long */
export function nameChecked(name: string): string {
  if (name !== '' && name.length <= MAX_LENGTH && storable(name) === name) return name;
  throw new InvalidArgumentError(`A name is 1 to ${MAX_LENGTH} characters of text, not ${JSON.stringify(name)}.`);
}

/** As Prometheus will keep it: UTF-8 has no half surrogates, and U+0000 would end the page. */
export function storable(value: string): string {
  return value.toWellFormed().replaceAll('\0', '\uFFFD');
}
