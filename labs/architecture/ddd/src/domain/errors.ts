/** A rule of the restaurant said no. Nothing was changed. Whatever is not a `DomainError` is a fault, not a refusal. */
export abstract class DomainError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** A value that the language of the restaurant has no word for: a quantity of 0, a size "gigantic", half a cent. */
export class InvalidValueError extends DomainError {
  constructor(what: string, value: unknown, rule: string) {
    super(`${what} ${said(value)}: ${rule}.`);
  }
}

/** Two currencies in one sum. Convert first, at a rate that somebody answers for. */
export class CurrencyMismatchError extends DomainError {
  constructor(one: string, other: string) {
    super(`${one} and ${other} don't mix: convert one of them first.`);
  }
}

/** The order is past the point at which this can be done to it. */
export class OrderStateError extends DomainError {
  constructor(orderId: string, status: string, action: string) {
    super(`Order ${orderId} is ${status}: too late, or too early, to ${action}.`);
  }
}

/** The order has no such line. */
export class UnknownLineError extends DomainError {
  constructor(orderId: string, dish: string) {
    super(`Order ${orderId} has no line with ${dish}: add the dish first.`);
  }
}

/** The dish is not on the menu, in this size. */
export class UnknownDishError extends DomainError {
  constructor(dish: string) {
    super(`${dish} is not on the menu: ask for the menu.`);
  }
}

/** The customer cannot pay this order. */
export class PaymentError extends DomainError {
  constructor(customerId: string, due: string, balance: string) {
    super(`Customer ${customerId} owes ${due} and has ${balance}: top up, or order less.`);
  }
}

/** A value of ours by its own words, anything else by its kind: it may have no words at all. */
function said(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.isFrozen(value) ? String(value) : 'of another kind';
}
