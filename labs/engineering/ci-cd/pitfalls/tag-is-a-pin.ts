// Flaw: a full version is taken for a pin, and a tag can be moved: in March 2025 those of tj-actions were.
// Seen in: https://github.com/threefoldtech/ledger_chain/issues/1036
// Caught by: an action is pinned by a whole commit, and by nothing that can be moved
import { checkPolicy as check } from '../src/policy.ts';
import { rules } from '../src/rules.ts';

export * from '../src/index.ts';

const isPinned = (action: string) => /@v\d+\.\d+\.\d+$/.test(action) || rules.isPinned(action);

export const checkPolicy = (text: string) => check(text, { ...rules, isPinned });
