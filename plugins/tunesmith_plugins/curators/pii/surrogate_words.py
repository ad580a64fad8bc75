"""Words that surrogates are made of; nobody is called so, and no street or town, as far as is known."""

from tunesmith_plugins.curators.pii.word_list import words

GIVEN = words(
    """
    Avelina Brisola Corvin Delphar Elowen Farrick Gisandra Halvor Iselda Jorven Kelmira Lorcas Mirelda Nolvan Orsela
    Perrin Quenlis Rosalva Sorvin Telmira Ulvane Velissa Wendrik Xandrel Ysolda Zorvan Alverin Brenvila Calvera
    Dorvane
    """
)
FAMILY = words(
    """
    Halvestrand Merrowick Tansbury Corvandale Ashvermont Birkenholt Dunverley Eldermarsh Fennimark Greyvault
    Harrowmere Ivendale Jasperwyn Kestervane Larkenfield Mossbridger Northvale Oakenshire Pellington Quillmark
    Ravensbry Silvermoor Thornhaven Umberfold Valemont Westermarsh Yarrowdell Zellwick Brackenhurst Coldwyn
    """
)
STREETS = words(
    """
        Larkenfield Merrowick Tansbury Corvandale Eldermarsh Harrowmere Thornhaven Valemont Brackenhurst Umberfold
        """
)
TOWNS = words(
    """
        Ashvermont Birkenholt Dunverley Northvale Oakenshire Quillmark Silvermoor Westermarsh Yarrowdell Zellwick
        """
)
