// Laws for the compiler: nothing here is run.
import { test } from 'vitest';
import { type Database, F, Field, ForeignKey, Model, Q, Ref, Reverse } from '#lab';
import { Author, Book, type Publisher } from './bookshop.ts';

declare const db: Database;
declare const author: Author;
declare const book: Book;
const [books, authors] = [Book.objects(db), Author.objects(db)];

test('a condition has a known name, a lookup of its type and a value of its type', () => {
  books.filter({ title: 'x', stock__gte: 1, blurb: null, author__in: [author, 3] });
  books.filter({ author__name__icontains: 'x', author__publisher__name__in: ['a'], author__publisher__isnull: true });
  books.filter(Q.or({ title: 'x' }, Q.not({ stock__lt: 3 })), Q.and({ id: 1 }, { id__gt: 0 }));
  authors.filter({ books__title: 'x', createdAt__lt: new Date() });
  // @ts-expect-error no such field
  books.filter({ titel: 'x' });
  // @ts-expect-error numbers have no icontains
  books.filter({ stock__icontains: 'x' });
  // @ts-expect-error nor have many values
  authors.filter({ books__icontains: 'x' });
  // @ts-expect-error nor is there a list of them
  authors.filter({ books__in: [] });
  // @ts-expect-error a text for a number
  books.filter({ stock__gt: '3' });
  // @ts-expect-error nothing compares to null
  books.filter({ stock__gt: null });
  // @ts-expect-error this column is never NULL
  books.filter({ title: null });
  // @ts-expect-error undefined asks for nothing
  books.filter({ title: undefined });
  // @ts-expect-error a text behind the relation
  books.filter({ author__name: 3 });
  // @ts-expect-error a publisher is no author
  books.filter({ author: {} as Publisher });
  // @ts-expect-error a condition compares to values, not to columns
  books.filter({ stock: F('stock').plus(1) });
  // @ts-expect-error wrong key inside of Q, after a right one
  books.filter(Q.or({ stock: 3 }, { title: 'x', titel: 'x' }));
  // @ts-expect-error a reference has an id, and is no condition
  authors.filter(book.author);
  // @ts-expect-error nor is an object
  authors.filter(author);
  // @ts-expect-error nor a promise
  authors.get(Promise.resolve({ id: 1 }));
});

test('an order and a relation are known names', () => {
  books.orderBy('-price', 'author__name').selectRelated('author', 'author__publisher').prefetch('author__books');
  books.slice(10).slice(0, 5);
  // @ts-expect-error an undefined limit is not the end
  books.slice(0, undefined);
  // @ts-expect-error no such column
  books.orderBy('-prize');
  // @ts-expect-error many values have no order
  authors.orderBy('books');
  // @ts-expect-error a JOIN follows foreign keys only
  authors.selectRelated('books');
  // @ts-expect-error no relation
  books.prefetch('title');
});

test('an object and a change have known names and values of their types', () => {
  Book.of({ title: 'x', price: '1.00', author, stock: 3 }).author = Ref.to(author);
  books.filter({ id: 1 }).update({ stock: F('id').minus(1), title: 'x', author: 7 });
  authors.update({ born: F('id').plus(1900) });
  authors.update({ born: F('born').plus(1) });
  // @ts-expect-error no such field
  Book.of({ titel: 'x' });
  // @ts-expect-error a number in a text column
  Book.of({ title: 7 });
  // @ts-expect-error another entity
  Book.of({ author: book });
  // @ts-expect-error an object of another entity, though it has an id too
  authors.bulkCreate([book]);
  // @ts-expect-error nor are these changes
  authors.update(book);
  // @ts-expect-error a text for a number
  books.update({ stock: 'x' });
  // @ts-expect-error no such column
  books.update({ stock: F('stocks').plus(1) });
  // @ts-expect-error nothing is added to a text
  books.update({ title: F('title').plus(1) });
  // @ts-expect-error nor is a number made of one
  books.update({ stock: F('title').plus(1) });
  // @ts-expect-error what is never NULL takes nothing that may be
  authors.update({ id: F('born').plus(1) });
});

test("a property that is not of its column's type does not compile", () => {
  class Wrong extends Model {
    // @ts-expect-error an int isn't a string
    @Field.int() declare a: string;
    // @ts-expect-error NULL isn't in the type
    @Field.char({ max: 5, null: true }) declare b: string;
    // @ts-expect-error NULL is only in the type
    @Field.char({ max: 5 }) declare c: string | null;
    // @ts-expect-error the default is of another type
    @Field.int({ default: 'x' }) declare d: number;
    // @ts-expect-error a reference to another entity
    @ForeignKey(() => Author, { onDelete: 'cascade' }) declare e: Ref<Book>;
    // @ts-expect-error what never is NULL can't forget
    @ForeignKey(() => Author, { onDelete: 'setNull' }) declare g: Ref<Author>;
    // @ts-expect-error what has null: false neither
    @ForeignKey(() => Author, { null: false, onDelete: 'setNull' }) declare h: Ref<Author>;
    // @ts-expect-error no such option: the column would not be unique
    @Field.char({ max: 5, unqiue: true }) declare i: string;
    // @ts-expect-error nor of a foreign key
    @ForeignKey(() => Author, { onDelete: 'cascade', unqiue: true }) declare j: Ref<Author>;
    // @ts-expect-error no foreign key of Book
    @Reverse(() => Book, 'title') declare f: readonly Book[];
  }
  void Wrong;
});
