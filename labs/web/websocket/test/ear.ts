import type { Member, Message } from '#lab';

/** A member that keeps what it hears; `notes` are the bodies, and "resync" where it was told so. */
export function ear(also: Partial<Member> = {}) {
  const notes: unknown[] = [];
  const messages: Message[] = [];
  const member: Member = {
    deliver: (message) => {
      messages.push(message);
      notes.push(message.body);
    },
    resync: () => void notes.push('resync'),
    ...also,
  };
  return { member, notes, messages };
}

/** The whole numbers from `from` to `to`. */
export const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
