// Laws for the compiler: nothing here is run.
import { test } from 'vitest';
import { type Database, F, Field, ForeignKey, type Many, Model, Q, Ref, Reverse } from '#lab';
import { Author, Book, Order, type Publisher } from './bookshop.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};
declare const db: Database;
declare const author: Author;
declare const book: Book;
const books = Book.objects(db);

test('an object is made of its fields, in their types', () => {
  same<Awaited<ReturnType<typeof books.get>>, Book>(true);
  Book.of({ title: 'x', price: '1.00', author, stock: 3 });
  Book.of({ author: 7 });
  Book.of({ author: Ref.to(author) });
  // @ts-expect-error no such field
  Book.of({ titel: 'x' });
  // @ts-expect-error a number in a text column
  Book.of({ title: 7 });
  // @ts-expect-error another entity
  Book.of({ author: Book.of({}) });
  // @ts-expect-error a relation to many isn't set
  Author.of({ books: [] });
  // @ts-expect-error undefined means nothing
  Book.of({ title: undefined });
});

test('a condition has a known name, a lookup of its type and a value of its type', () => {
  books.filter({ title: 'x', stock__gte: 1, blurb: null, author__in: [author, 3] });
  books.filter({ author__name__icontains: 'x', author__publisher__name__in: ['a'], author__publisher__isnull: true });
  books.filter(Q.or({ title: 'x' }, Q.not({ stock__lt: 3 })), Q.and({ id: 1 }, { id__gt: 0 }));
  Author.objects(db).filter({ books__title: 'x', createdAt__lt: new Date() });
  Order.objects(db).filter({ state__contains: 'a', id__gt: 3n });
  // @ts-expect-error no such field
  books.filter({ titel: 'x' });
  // @ts-expect-error no such lookup
  books.filter({ title__like: 'x' });
  // @ts-expect-error numbers have no icontains
  books.filter({ stock__icontains: 'x' });
  // @ts-expect-error a text for a number
  books.filter({ stock__gt: '3' });
  // @ts-expect-error one value for a list
  books.filter({ stock__in: 3 });
  // @ts-expect-error nothing compares to null
  books.filter({ stock__gt: null });
  // @ts-expect-error this column is never NULL
  books.filter({ title: null });
  // @ts-expect-error undefined asks for nothing
  books.filter({ title: undefined });
  // @ts-expect-error no such field behind the relation
  books.filter({ author__nom: 'x' });
  // @ts-expect-error a text behind the relation
  books.filter({ author__name: 3 });
  // @ts-expect-error a publisher is no author
  books.filter({ author: {} as Publisher });
  // @ts-expect-error a condition compares to values, not to columns
  books.filter({ stock: F('stock').plus(1) });
  // @ts-expect-error wrong key inside of Q
  books.filter(Q.or({ titel: 'x' }, { stock: 3 }));
  // @ts-expect-error wrong key after a right one
  books.filter(Q.and({ title: 'x', titel: 'y' }));
  // @ts-expect-error get filters too
  books.get({ titel: 'x' });
  // @ts-expect-error a reference has an id, and is no condition
  Author.objects(db).filter(book.author);
  // @ts-expect-error nor is an object
  Author.objects(db).filter(author);
  // @ts-expect-error nor a promise
  Author.objects(db).get(Promise.resolve({ id: 1 }));
});

test('an order and a relation are known names', () => {
  books.orderBy('-price', 'author__name').selectRelated('author', 'author__publisher').prefetch('author__books');
  // @ts-expect-error no such column
  books.orderBy('-prize');
  // @ts-expect-error many values have no order
  Author.objects(db).orderBy('books');
  // @ts-expect-error a JOIN follows foreign keys only
  Author.objects(db).selectRelated('books');
  // @ts-expect-error no relation
  books.prefetch('title');
});

test('a change has a known name and a value or an expression of its type', () => {
  books.filter({ id: 1 }).update({ stock: F('stock').minus(1), title: 'x', author });
  Author.objects(db).update({ born: F('id').plus(1900) });
  // @ts-expect-error no such field
  books.update({ titel: 'x' });
  // @ts-expect-error a text for a number
  books.update({ stock: 'x' });
  // @ts-expect-error no such column
  books.update({ stock: F('stocks').plus(1) });
  // @ts-expect-error nothing is added to a text
  books.update({ title: F('title').plus(1) });
  // @ts-expect-error a number is made of numbers
  books.update({ stock: F('title').plus(1) });
  // @ts-expect-error a bigint isn't added to a number
  books.update({ stock: F('stock').plus(1n) });
});

test("a property that is not of its column's type does not compile", () => {
  class Wrong extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    // @ts-expect-error an int isn't a string
    @Field.int() declare a: string;
    // @ts-expect-error NULL isn't in the type
    @Field.char({ max: 5, null: true }) declare b: string;
    // @ts-expect-error NULL is only in the type
    @Field.char({ max: 5 }) declare c: string | null;
    // @ts-expect-error a bigint isn't a number
    @Field.bigint() declare d: number;
    // @ts-expect-error the default is of another type
    @Field.int({ default: 'x' }) declare f: number;
    // @ts-expect-error a reference to another entity
    @ForeignKey(() => Author, { onDelete: 'cascade' }) declare g: Ref<Book>;
    // @ts-expect-error no such deletion rule
    @ForeignKey(() => Author, { onDelete: 'explode' }) declare h: Ref<Author>;
    // @ts-expect-error no foreign key of Book
    @Reverse(() => Book, 'title') declare i: Many<Book>;
  }
  void Wrong;
});
