//! The columns of the two forms.

/// The columns of a form: their names, and the indices of those that are read.
#[derive(Debug)]
pub struct Columns {
    /// The names in the header.
    pub names: &'static [&'static str],
    /// The number of the invoice.
    pub invoice: usize,
    /// The product.
    pub stock_code: usize,
    /// The product, for people. Nothing depends on it.
    pub description: usize,
    /// The number of pieces.
    pub quantity: usize,
    /// The time of the invoice, in London time.
    pub invoiced_at: usize,
    /// The price of one piece, in pounds.
    pub unit_price: usize,
    /// The customer.
    pub customer_id: usize,
    /// The country of the customer.
    pub country: usize,
}

/// The columns of the clean form.
pub const CLEAN: Columns = Columns {
    names: &[
        "line",
        "invoice",
        "kind",
        "stock_code",
        "description",
        "quantity",
        "invoiced_at",
        "unit_price_gbp",
        "customer_id",
        "country",
    ],
    invoice: 1,
    stock_code: 3,
    description: 4,
    quantity: 5,
    invoiced_at: 6,
    unit_price: 7,
    customer_id: 8,
    country: 9,
};

/// The columns of the original form.
pub const ORIGINAL: Columns = Columns {
    names: &["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"],
    invoice: 0,
    stock_code: 1,
    description: 2,
    quantity: 3,
    invoiced_at: 4,
    unit_price: 5,
    customer_id: 6,
    country: 7,
};
