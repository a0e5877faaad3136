// The roadmap's smaller examples, as they are written in TypeScript.

/** `greet(42)` does not compile; from JavaScript it would answer "Hello, 42". */
export const greet = (name: string): string => `Hello, ${name}`;

/** The roadmap's `safe_get_length`. Its `if s else 0` asks whether the text is true, which an empty one isn't: here it doesn't matter, elsewhere it does. */
export const getLength = (text: string | null | undefined): number => text?.length ?? 0;

/** A callback is a type like any other. */
export type Processor = (data: number) => string;

export const processData = (data: number, callback: Processor): string => callback(data);

/** What has a `fly()` is a Flyer, whatever it is called: a Protocol in Python, any type at all in TypeScript. */
export interface Flyer {
  fly(): string;
}

export const takeoff = (flyer: Flyer): string => flyer.fly();

/** `Any` switches checking off; `unknown` demands a look before the first use. */
export const handle = (data: unknown): string => (typeof data === 'string' ? data.toUpperCase() : typeof data);
