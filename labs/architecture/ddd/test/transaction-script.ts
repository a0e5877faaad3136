// The same feature as a transaction script: a row with public columns, and a function for each use case, each with its
// checks at its top. It grew as such code grows: "placed" and "declined" came later than most of the functions.

export type OrderRow = {
  status: string;
  currency: string;
  voucher: number;
  total: number;
  lines: { dish: string; price: number; quantity: number }[];
};

export const newOrder = (currency: string): OrderRow => ({
  status: 'draft',
  currency,
  voucher: 0,
  total: 0,
  lines: [],
});

export function addDish(order: OrderRow, dish: string, price: number, currency: string, quantity: number): void {
  if (order.status === 'paid') throw new Error('order closed');
  if (currency !== order.currency) throw new Error('wrong currency');
  if (quantity < 1) throw new Error('bad quantity');
  const line = order.lines.find((each) => each.dish === dish);
  if (line) line.quantity += quantity;
  else order.lines.push({ dish, price, quantity });
  order.total += price * quantity;
}

export function changeQuantity(order: OrderRow, dish: string, quantity: number): void {
  if (order.status === 'paid') throw new Error('order closed');
  const line = order.lines.find((each) => each.dish === dish);
  if (!line) throw new Error('no such line');
  order.total += line.price * (quantity - line.quantity);
  line.quantity = quantity;
}

export function removeDish(order: OrderRow, dish: string): void {
  if (order.status !== 'draft') throw new Error('order closed');
  const line = order.lines.find((each) => each.dish === dish);
  if (!line) throw new Error('no such line');
  order.lines.splice(order.lines.indexOf(line), 1);
  order.total -= line.price * line.quantity;
}

export function redeem(order: OrderRow, voucher: number): void {
  if (order.status !== 'draft') throw new Error('order closed');
  if (voucher > order.total + order.voucher) throw new Error('voucher too big');
  order.total += order.voucher - voucher;
  order.voucher = voucher;
}

export function place(order: OrderRow): void {
  if (order.status !== 'draft') throw new Error('order closed');
  if (order.lines.length === 0) throw new Error('empty order');
  order.status = 'placed';
}

export function pay(order: OrderRow): void {
  if (order.status !== 'placed') throw new Error('order closed');
  order.status = 'paid';
}

export function decline(order: OrderRow): void {
  if (order.status === 'paid') throw new Error('order closed');
  order.status = 'declined';
}
