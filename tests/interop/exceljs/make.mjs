// Writes a spreadsheet to the path that is given.
import Excel from 'exceljs'

const book = new Excel.Workbook()
book.addWorksheet('Orders').addRow(['Order', 1042])
await book.xlsx.writeFile(process.argv[2])
