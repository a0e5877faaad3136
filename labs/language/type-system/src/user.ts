import { z } from 'zod';
import { type Email, email, type UserId, userId } from './brand.ts';
import type { Equal } from './equal.ts';
import { clip, err, type Issue, ok, type Result } from './result.ts';

/** What the rest of the program works with. */
export interface User {
  readonly id: UserId;
  readonly email: Email;
  /** 1 to 50 characters. An empty name is no name: leave it out. */
  readonly nickname?: string;
  /** Null: the user didn't say. */
  readonly age: number | null;
  readonly newsletter: boolean;
  readonly address: { readonly city: string };
}

/** A brand's constructor as a schema, so that there is one rule for it. */
const made = <T>(construct: (value: unknown) => Result<T, Issue>) =>
  z.unknown().transform((value, context): T => {
    const result = construct(value);
    if (result.ok) return result.value;
    context.addIssue({ code: 'custom', message: result.error.message });
    return z.NEVER;
  });

const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), 'must be storable text');

/**
 * What stands at the border. Nothing is coerced: `z.coerce.boolean()` makes true of the text "false", and
 * `z.coerce.number()` makes 0 of the empty one. A key that nobody knows is an error: it may be a misspelt one.
 */
export const userSchema = z
  .strictObject({
    id: made(userId),
    email: made(email),
    nickname: text(50).exactOptional(),
    age: z.int().min(0).max(150).nullable(),
    newsletter: z.boolean(),
    address: z.strictObject({ city: text(100) }).readonly(),
  })
  .readonly();

/** Two truths would drift apart: this line stops compiling on the day that schema and type differ. */
true satisfies Equal<z.output<typeof userSchema>, User>;

/**
 * A user from whatever came in: JSON, a form, another service. What comes out is made anew: no reference to what went in.
 *
 * @returns all that is wrong, each with its path, when anything is. Never throws for what it is given.
 */
export function parseUser(input: unknown): Result<User, readonly Issue[]> {
  try {
    const parsed = userSchema.safeParse(input);
    if (parsed.success) return ok(parsed.data);
    return err(parsed.error.issues.map(({ path, message }) => ({ path, message: clip(message) })));
  } catch {
    // A getter or a Proxy of the input threw while it was read. What it threw may throw as well when it is read.
    return err([{ path: [], message: 'cannot be read' }]);
  }
}
