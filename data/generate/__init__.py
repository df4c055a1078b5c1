"""The generated street people: a labelled dataset that the workshop draws itself.

people         the command: persons -> pictures -> manifest
looks          who a person is, and how one picture of them is taken (classes and shares)
palette        the colour classes, and cloth colours on the border between two of them
skeleton       joints of a walking or standing body, in three dimensions
canvas         a depth buffer that draws tapered capsules and lathed shapes with normals
cloth          textures and folds
drawing        body, clothes, hair, face, shoes and bag of one person onto a canvas
scenes         streets, shop fronts, parks and stations behind the person
camera         light, shadow, exposure, blur, noise and JPEG
contact_sheet  the command that draws one sheet per attribute of any manifest
"""
