export { type AuditEntry, auditOf, type FieldChange, readImage } from './audit.ts';
export { Board, type BoardLine, type BoardRow } from './board.ts';
export {
  ChangeStreamError,
  FencedError,
  HistoryTooShortError,
  ImageMissingError,
  InvalidArgumentError,
  ProjectionError,
  ServerUnreachableError,
  StreamRefusedError,
} from './errors.ts';
export { historyIsGone, type Position, positionOfNow, startingAt } from './position.ts';
export { Projector } from './projector.ts';
export {
  type Bookmark,
  type DocumentChange,
  isDocumentChange,
  type Projection,
  type ProjectorOptions,
  Runner,
  type Tx,
} from './runner.ts';
export { changesTouching, fieldNames } from './touching.ts';
