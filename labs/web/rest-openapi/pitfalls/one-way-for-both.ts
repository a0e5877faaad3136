// Flaw: an answer is compared as a request is: a field that is gone, or may be missing, is no news; a new one is "breaking".
// Seen in: https://github.com/oasdiff/oasdiff/issues/639
// Caught by: what breaks a client is named, with its place: who sends must still be understood, who listens still understand
import { answersOf, type BreakingChange, type Contract, notWithin, operationsOf, requestOf } from '../src/index.ts';

export * from '../src/index.ts';

export function diffContracts(old: Contract, now: Contract): BreakingChange[] {
  const later = operationsOf(now);
  return operationsOf(old).flatMap((before) => {
    const where = `${before.method} ${before.path}`;
    const after = later.find(({ method, path }) => `${method} ${path}` === where);
    if (!after) return [{ where, what: 'is gone' }];
    const changes = notWithin([old, requestOf(before)], [now, requestOf(after)], false).map((each) => ({
      where: `${where} request ${each.where}`,
      what: each.what,
    }));
    for (const [status, promised] of answersOf(before)) {
      const given = answersOf(after).get(status);
      if (!given) changes.push({ where: `${where} ${status}`, what: 'is gone' });
      else {
        for (const each of notWithin([old, promised], [now, given], false)) {
          changes.push({ where: `${where} ${status} ${each.where}`, what: each.what });
        }
      }
    }
    return changes;
  });
}
