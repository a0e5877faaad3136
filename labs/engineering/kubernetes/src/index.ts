export { type Clock, systemClock } from './clock.ts';
export { Cluster, type Named, type Source, statusOf } from './cluster.ts';
export { type ControllerOptions, control } from './controller.ts';
export { drainNode, type NodeDrainOptions } from './drain-node.ts';
export { drainServer, type ServerDrainOptions } from './drain-server.ts';
export * from './errors.ts';
export { type Author, applyFenced, type Desired, FENCE, isConflict } from './fence.ts';
export {
  type FerryLine,
  ferryLineDefinition,
  ferryLines,
  objectsOf,
  reconcileFerryLine,
} from './ferry-line.ts';
export {
  type Confidence,
  type Finding,
  inOrder,
  type Judged,
  type Position,
  type Rule,
  type Severity,
} from './finding.ts';
export { Informer, type InformerOptions, keyOf, type OnChange } from './informer.ts';
export { Candidate, type LeaderOptions, type Term } from './leader.ts';
export { lintManifests, type ManifestFile, manifestRules } from './lint.ts';
export { type QueueOptions, type Work, WorkQueue } from './queue.ts';
