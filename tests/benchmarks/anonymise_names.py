"""Names to fill templates with, by set of styles: what one set draws from, no other does."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


GIVEN = words(
    """
    Anna Peter Maria Thomas Linda Robert Susan James Karen Michael Fatima Rahul Mei Tomasz Ingrid Kwame Yusuf
    Svetlana Priya Diego Chiamaka Bartosz Aoife Niamh Thuy Oluwaseun Zeynep Goran Saoirse Anneliese Grace Mark Rose
    Victoria Jordan
    """
)
FAMILY = words(
    """
    Weber Schmidt Johnson Kowalczyk Okafor Nguyen Lindqvist Fernandez O'Brien Patel Haddad Ivanova Yilmaz Brown
    Young Müller Dubois Rossi Tanaka Mbeki Al-Sayed Murphy Long Hernandez-Ruiz McAllister Petrov Bianchi Larsen
    Chowdhury King
    """
)

# Names of the held-out styles: none of the above. About half of the given names are not in the list that patterns know.
HELD_OUT_GIVEN = words(
    """
    Elizabeth William Barbara Richard Jessica Charles Sarah Daniel Nancy Matthew Sandra Donald Ashley Steven Emily Paul
    Andrew Joshua Kevin Brian Laura Stephanie Rebecca Sharon Cynthia Kathleen Amy Angela Shirley Brenda
    Agnieszka Björn Ikechukwu Nguyet Sanjeev Xiaoling Ayşe Jarosław Siobhán Temitope Vojtěch Ramanathan Gudrun Oksana
    Bilal Catarina Dragan Fumiko Hyejin Ilkka Jadwiga Lakshmi Mehmet Nkechi Pekka Rukhsana Sinazo Tadeusz Wahid Zuzanna
    """
)
HELD_OUT_FAMILY = words(
    """
    Anderson Thompson Martinez Robinson Clark Lewis Walker Hall Allen Wright Scott Torres Hill Green Adams Baker Nelson
    Carter Mitchell Perez Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart Morris
    Wiśniewska Papadopoulos Adeyemi Venkataraman Sørensen Csikszentmihalyi D'Angelo García-Márquez Håkansson Jankowski
    Kuznetsov Łukasik Mkhize Nakamura Ó'Briain Pfeiffer Quispe Ravichandran Szabó Thorvaldsen Uzun Vandenberghe Wanjiru
    Xhaka Yamaguchi Zieliński Brzęczyszczykiewicz Chaudhary Dlamini Eriksen
    """
)

# Names of the second held-out styles: none of the above, about half of the given names not in the list either.
SECOND_GIVEN = words(
    """
    Gloria Teresa Gerald Harold Diane Carl Julie Henry Joyce Arthur Ruth Ryan Janice Roger Judith Albert Willie Terry
    Beverly Denise Marilyn Walter Gary Nicole Wayne Ralph Alan Ruby Crystal Dawn
    Saskia Emre Thandiwe Eirik Nadzeya Chinonso Kateryna Hamza Rūta Zsófia Arjun Meera Dmytro Lindiwe Gintaras Sunniva
    Baozhai Hoang Iñaki Leïla Çağla Yetunde Miroslav Pavlo Jean-Luc Aurélie Wojciech Tariq Ximena Mwangi
    """
)
SECOND_FAMILY = (
    *words(
        """
        Hughes Sanders Price Bennett Wood Barnes Ross Powell Sullivan Russell Ortiz Jenkins Gutierrez Perry Butler
        Fisher Cole West Reyes Bishop Black Hunt Banks Day Stone Small Rivers Marsh Wise Field
        Szczepański Olofsson Oyelaran Subramaniam Kjærgaard Bondarenko Şahin Tshabalala Hoxha Yamashita Nørgaard
        O'Donoghue Ben-David Haile Karlsson Villanueva-Soto Zhukov Ng Wu Achterberg Mutombo Gonçalves Rahimi Echeverría
        MacPherson
        """
    ),
    "van den Berg",
    "de la Cruz",
    "von Reuter",
)

# Names of the third styles: none of the above, about half of the given names not in the list either.
THIRD_GIVEN = words(
    """
    Dorothy Frances Gregory Raymond Alice Virgil Marcus Bernadette Stanley Yvonne Leonard Cecilia Duane Rosemary Edwin
    Claudia Vernon Penelope Felix Harriet Lena Oscar Summer Hope Dean
    Lwazi Radosław Mireille Sanziana Ikram Torbjørn Anjali Kofi Yevhen Marjolein Tuğba Hinemoa Aleksandra Quang
    Nandini Okechukwu Ragnheiður Sébastien Bukola Jasleen Matej Ludmila Farzaneh Ruaridh Wilhelmina
    """
)
THIRD_FAMILY = (
    *words(
        """
        Griffin Hayes Bryant Wallace Simmons Ford Hamilton Graham Woods Gibson Cruz Rice Mills Knight Lane Hunter
        Chapman Burke Frank Curtis Bowers Sharp Gates Lamb Cross
        Nwachukwu Grabowski Vasilescu Halvorsen Bhattacharya Kamau Demirci Oosterhuis Petrenko Tautahi Lefèvre Raghavan
        Sigurðsson Mohammadi Zaman Balogun Horvat Tkachenko Iyer Mac-Donald D'Souza Ferreira-Lima Opoku Söderberg Tuan
        """
    ),
    "van der Meer",
    "al Hashimi",
)
