// Flaw: the marker is a text that a value may have too, so a parcel for Mr "null" doesn't exist.
// Seen in: https://github.com/peterbe/django-cache-memoize/pull/9
// Caught by: no value is taken for a marker, and no marker for a value
import { LookupCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class LookupCache extends Reference {
  protected override encode(value: unknown): string {
    const text = value === null || value === 'null' ? 'null' : JSON.stringify(value);
    if (text === undefined) throw new Error('no text');
    return text;
  }

  protected override decode<T>(text: string): { value: T | null; storedAt: number } {
    return { value: JSON.parse(text), storedAt: Date.now() };
  }
}
