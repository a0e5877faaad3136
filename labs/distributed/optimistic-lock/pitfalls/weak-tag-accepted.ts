// Flaw: W/ is cut off before the comparison, so a tag that promises no more than a like meaning lets a write pass.
// Seen in: https://github.com/nginx/nginx/pull/1559
// Caught by: If-Match compares strongly: no header is 428, no tag that fits is 412, and a weak one never fits
import { ifMatch as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const ifMatch: typeof reference = (header) => reference(header?.replaceAll('W/"', '"'));
