export {
  ClusterError,
  CommandError,
  CrossSlotError,
  InvalidArgumentError,
  OutcomeUnknownError,
  PartialWriteError,
  ReshardError,
  RouterClosedError,
  SlotUnavailableError,
  TooManyRedirectionsError,
  UnderReplicatedError,
  UnreachableError,
} from './errors.ts';
export { bySlot, crc16, hashTag, keySlot, SLOTS, taggedKey } from './key-slot.ts';
export { type ReshardOptions, reshard } from './reshard.ts';
export { type CallOptions, ClusterRouter, type ReplicationOptions, type RouterOptions } from './router.ts';
export { ownersIn, planMoves, type Redirection, redirectionIn, type SlotMove } from './slot-map.ts';
