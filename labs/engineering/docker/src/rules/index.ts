import { dependenciesFirst, frozenInstall } from './cache.ts';
import { copyNotAdd, healthy, notLatest, readable, tagged } from './image.ts';
import { execOfProgram, nothingBetween, notRoot, someUser } from './process.ts';
import type { DockerRule } from './rule.ts';
import { aptListsGone, noPipCache, pinnedApt, pipefail, readBeforeRun } from './run.ts';
import { closedContext, goneFromTheStart, noSecretInHistory } from './secrets.ts';

/** All of them. A product takes out what it doesn't want: `rules.filter(({ id }) => id !== 'DL3008')`. */
export const rules: readonly DockerRule[] = [
  readable,
  execOfProgram,
  nothingBetween,
  notRoot,
  someUser,
  tagged,
  notLatest,
  noSecretInHistory,
  goneFromTheStart,
  closedContext,
  dependenciesFirst,
  frozenInstall,
  pinnedApt,
  aptListsGone,
  noPipCache,
  pipefail,
  readBeforeRun,
  copyNotAdd,
  healthy,
];
