import { anatomy } from './anatomy.ts';
import { biome } from './biome.ts';
import { compose } from './compose.ts';
import { core } from './core.ts';
import { demos } from './demos.ts';
import { drift } from './drift.ts';
import { examples } from './examples.ts';
import { exercise } from './exercise.ts';
import type { Gate } from './gate.ts';
import { grading } from './grading.ts';
import { knip } from './knip.ts';
import { readme } from './readme.ts';
import { standalone } from './standalone.ts';
import { types } from './types.ts';
import { vendor } from './vendor.ts';

/** In the order in which they run: the quick ones first, so that a slip is known within seconds. */
export const gates: readonly Gate[] = [
  anatomy,
  vendor,
  biome,
  types,
  knip,
  compose,
  drift,
  exercise,
  examples,
  standalone,
  demos,
  readme,
  grading,
  core,
];
